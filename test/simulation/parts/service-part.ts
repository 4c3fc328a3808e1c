// SPDX-License-Identifier: Apache-2.0
// One process of the control plane: a role as `remex serve` composes it, on simulated foundations.

import type { Transport } from "@connectrpc/connect";
import type { Records } from "@remex/records";
import { createReadiness } from "@remex/runtime";
import {
  createDeploymentStore,
  createSessionStore,
  createTaskStore,
  listReplicas,
  type Store,
} from "@remex/store";
import type { ServiceRole } from "@remex/transport";
import type { Peers } from "../../../services/serve/src/peers.ts";
import { createReplicaRecords } from "../../../services/serve/src/replica-records.ts";
import { createHealthMonitorRole } from "../../../services/serve/src/roles/health-monitor.ts";
import { createRegistryRole } from "../../../services/serve/src/roles/registry.ts";
import type { Role, RoleContext } from "../../../services/serve/src/roles/role.ts";
import { createSchedulerRole } from "../../../services/serve/src/roles/scheduler.ts";
import { openStoreConnection } from "../../../services/serve/src/store-connection.ts";
import type { Network } from "../engine/network.ts";
import type { SimProcess, World } from "../engine/world.ts";
import { callAbout } from "../redis/redis-client.ts";
import { createSimTransport, openInternalPort } from "../wire/sim-links.ts";
import { clockOf, logOf, noMetrics } from "./fittings.ts";
import { tokenAddress } from "./token-part.ts";

export type SimRole = "registry" | "scheduler" | "health-monitor";

const builders: Readonly<Record<SimRole, (context: RoleContext) => Role>> = {
  registry: createRegistryRole,
  scheduler: createSchedulerRole,
  "health-monitor": createHealthMonitorRole,
};

/** A call of the store, as those who watch it see it. */
export interface StoreCall {
  readonly name: string;
  readonly args: unknown;
  readonly parse: (reply: unknown) => unknown;
}

export interface ServiceDeps {
  readonly world: World;
  readonly network: Network;
  readonly records: Records;
  readonly recordsId: string;
}

/** Starts a replica of a role on a host of its own; answers its process. */
export function startService(deps: ServiceDeps, role: SimRole, host: string): SimProcess {
  const { world, network } = deps;
  const process = world.createProcess(`${host}#${world.nextPid()}`, host);
  world.after(0, process, "start", () => {
    begin(deps, network, process, role);
  });
  return process;
}

function begin(deps: ServiceDeps, network: Network, process: SimProcess, role: SimRole): void {
  const clock = clockOf(process);
  const log = logOf(process);
  const readiness = createReadiness();
  const replica = `${role}-${process.pid}-${process.random.int(0, 0xffffff).toString(16)}`;
  const port = openInternalPort({ network, process, clock, log });
  const redis = openStoreConnection({
    redisUrl: "redis://redis:6379",
    connectionName: replica,
    recordsId: deps.recordsId,
    part: readiness.part("redis"),
    clock,
    log,
  });
  const store = watched(redis.store);
  const peers: Peers = {
    serve: (_role, routes) => port.serve(routes),
    transportTo: (to, from) => transportTo(network, process, to, from),
    transportAt: (address, from) => port.transportAt(address, from),
    close: () => undefined,
  };
  const built = builders[role]({
    config: { agentsListen: { host: process.host, port: 8701 }, connectsPerSecond: 200 } as never,
    replica,
    clock,
    log,
    metrics: noMetrics,
    readiness,
    records: deps.records,
    store,
    connections: redis.connections,
    deployments: createDeploymentStore(store),
    sessions: createSessionStore(store),
    tasks: createTaskStore(store),
    peers,
    localLinks: port.localLinks,
    serviceKey: { current: () => "" } as never,
    listReplicas: (wanted) => listReplicas(store.redis, wanted),
    onStoreFit: redis.onFit,
    claimEpoch: redis.claimEpoch,
  });
  port.serve(built.routes);
  const records = createReplicaRecords({
    store,
    records: [{ role, replica, address: port.address, softwareVersion: "0.1.0" }],
    clock,
    log,
  });
  void built.start().then(() => {
    redis.onFit(records.renew);
    records.start();
  });
}

function transportTo(
  network: Network,
  process: SimProcess,
  to: ServiceRole,
  from: ServiceRole,
): Transport {
  // Nobody listens where the other roles would be: what is for them waits.
  const address = to === "token" ? tokenAddress : `${to}/internal`;
  return createSimTransport(network, process, address, from);
}

/** The same store, whose calls say what they are about to those who watch it. */
function watched(store: Store): Store {
  return {
    redis: store.redis,
    epoch: store.epoch,
    call: (definition, args) => {
      const about: StoreCall = {
        name: definition.name,
        args,
        parse: (reply) => definition.parse(reply as never, args),
      };
      return callAbout(about, () => store.call(definition, args));
    },
  };
}
