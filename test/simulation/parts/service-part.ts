// SPDX-License-Identifier: Apache-2.0
// One process of the control plane: a role as `remex serve` composes it, on simulated foundations.

import type { Records } from "@remex/records";
import { createReadiness } from "@remex/runtime";
import {
  createDeploymentStore,
  createSessionStore,
  createTaskStore,
  listReplicas,
  type Store,
} from "@remex/store";
import { createLocalLinks, createServiceTransport } from "@remex/transport";
import { createPeers, type Peers } from "../../../services/serve/src/peers.ts";
import { createReplicaRecords } from "../../../services/serve/src/replica-records.ts";
import { createHealthMonitorRole } from "../../../services/serve/src/roles/health-monitor.ts";
import { createRegistryRole } from "../../../services/serve/src/roles/registry.ts";
import type { Role, RoleContext } from "../../../services/serve/src/roles/role.ts";
import { createSchedulerRole } from "../../../services/serve/src/roles/scheduler.ts";
import { openStoreConnection } from "../../../services/serve/src/store-connection.ts";
import type { Network } from "../engine/network.ts";
import type { SimProcess, World } from "../engine/world.ts";
import { callAbout } from "../redis/redis-client.ts";
import { openInternalPort } from "../wire/internal-port.ts";
import { simulationKey } from "./addresses.ts";
import { clockOf, logOf, noMetrics } from "./fittings.ts";
import { tokenUrl } from "./token-part.ts";

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
  const port = openInternalPort({ network, process, log });
  const redis = openStoreConnection({
    redisUrl: "redis://redis:6379",
    connectionName: replica,
    recordsId: deps.recordsId,
    part: readiness.part("redis"),
    clock,
    log,
  });
  const store = watched(redis.store);
  const listLiving = (wanted: string) => listReplicas(store.redis, wanted);
  const key = () => simulationKey;
  const found = createPeers({ listReplicas: listLiving, key, clock, log });
  const peers: Peers = {
    ...found,
    // The stand-in keeps no record in Redis.
    transportTo: (to, from) =>
      to === "token"
        ? createServiceTransport({ baseUrl: tokenUrl, role: from, key })
        : found.transportTo(to, from),
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
    localLinks: createLocalLinks(),
    serviceKey: key,
    listReplicas: listLiving,
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
