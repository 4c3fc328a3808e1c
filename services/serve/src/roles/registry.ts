// SPDX-License-Identifier: Apache-2.0
// The registry as a role: the agents' door, its links, and the management of deployments and queues.

import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus } from "@remex/proto/grpc/health/v1";
import { BeatLinkEventSchema, HealthLinkService } from "@remex/proto/health/v1";
import { AgentService } from "@remex/proto/registry/v1";
import { RegistryEventSchema, SchedulerLinkService } from "@remex/proto/scheduler/v1";
import { VerificationService } from "@remex/proto/token/v1";
import { createManagement, createRegistry, type RegistryDeps } from "@remex/registry";
import { formatAddress } from "@remex/runtime";
import { subscribeSignals } from "@remex/store";
import { beatLinkTimings, dialLink, serviceKeyInterceptor } from "@remex/transport";
import type { Role, RoleContext } from "./role.ts";

/** What a registry asks another: would an agent be served at it (PROTOCOL L5)? */
const servesAgents = "remex.registry.ServesAgents";
/** A peer that takes longer to say that it is well is not well enough to send agents to. */
const peerHealthTimeoutMs = 1_000;

export function createRegistryRole(context: RoleContext): Role {
  const { replica, clock, log, peers } = context;
  const management = createManagement({
    records: context.records,
    store: context.deployments,
    tasks: context.tasks,
    sessions: context.sessions,
    epoch: () => context.store.epoch.current(),
    clock,
    log,
  });
  context.onStoreFit(() => {
    // The regular sweep repeats and reports it.
    management
      .sweep()
      .then(() => registry.storeChanged())
      .catch(() => undefined);
  });
  const registry = createRegistry({
    replica,
    listen: context.config.agentsListen,
    connectsPerSecond: context.config.connectsPerSecond,
    sessions: context.sessions,
    deployments: context.deployments,
    tasks: context.tasks,
    management: management.agents,
    listReplicas: context.listReplicas,
    epoch: () => context.store.epoch.current(),
    claimEpoch: context.claimEpoch,
    subscribe: (handlers) => {
      subscribeSignals(context.connections.subscriptions, handlers, (channel, err) => {
        log.warn({ channel, err }, "a signal was not understood");
      });
    },
    verification: createClient(VerificationService, peers.transportTo("token", "registry")),
    peerAgents: (address) => createClient(AgentService, peers.transportAt(address, "registry")),
    peerServes: async (address) => {
      const health = createClient(Health, peers.transportAt(address, "registry"));
      const asked = { service: servesAgents };
      const { status } = await health.check(asked, { timeoutMs: peerHealthTimeoutMs });
      return status === HealthCheckResponse_ServingStatus.SERVING;
    },
    ...createDiallers(context),
    readiness: context.readiness,
    metrics: context.metrics,
    clock,
    log,
  });
  return {
    role: "registry",
    checks: { [servesAgents]: registry.serves },
    routes: (router) => {
      registry.routes(router);
      management.routes(router);
    },
    start: async () => {
      management.start();
      return { agents: `http://${formatAddress(await registry.start())}` };
    },
    stop: async () => {
      await registry.stop();
      management.stop();
    },
    problems: management.problems,
  };
}

/** Links to monitors and schedulers: within the process where they run here, else over the network. */
function createDiallers(context: RoleContext): Pick<RegistryDeps, "dialMonitor" | "dialScheduler"> {
  const { replica, clock, localLinks } = context;
  const interceptors = [serviceKeyInterceptor("registry", context.serviceKey)];
  const { beatLink } = HealthLinkService.method;
  const { link } = SchedulerLinkService.method;
  const hello = { case: "hello" as const, value: { registry: replica } };
  const toMonitor = [create(BeatLinkEventSchema, { event: hello })];
  const toScheduler = [create(RegistryEventSchema, { event: hello })];
  return {
    dialMonitor: localLinks.dialler(
      { replica, hello: toMonitor },
      beatLink,
      ({ id, address }, signal) =>
        dialLink({
          ...{ method: beatLink, baseUrl: address, peer: id, clock, signal, interceptors },
          timings: beatLinkTimings,
          hello: toMonitor,
        }),
    ),
    dialScheduler: localLinks.dialler(
      { replica, hello: toScheduler },
      link,
      ({ id, address }, signal) =>
        dialLink({
          ...{ method: link, baseUrl: address, peer: id, clock, signal, interceptors },
          hello: toScheduler,
        }),
    ),
  };
}
