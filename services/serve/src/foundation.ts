// SPDX-License-Identifier: Apache-2.0
// What the roles of a process stand on: records, service key, local port, Redis and the ways to peers.

import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { openRecords, type Records } from "@remex/records";
import {
  type Clock,
  createMetrics,
  createReadiness,
  createSystemClock,
  type ListenAddress,
  type Logger,
  type Metrics,
  type Readiness,
  type Shutdown,
  startLocalServer,
} from "@remex/runtime";
import { listReplicas, type ReplicaRecord } from "@remex/store";
import { createLocalLinks, type KeySource, type LocalLinks } from "@remex/transport";
import { createPeers, type Peers } from "./peers.ts";
import { loadServiceKey } from "./service-key.ts";
import { recordsUrlOf, type ServeConfig, serviceKeyFileOf } from "./settings.ts";
import { openStoreConnection, type StoreConnection } from "./store-connection.ts";

/** How long each part of the process may take to stop. */
export const stopWithinMs = 10_000;

export interface Foundation {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly readiness: Readiness;
  readonly records: Records;
  readonly serviceKey: KeySource;
  readonly redis: StoreConnection;
  readonly peers: Peers;
  readonly localLinks: LocalLinks;
  /** Where /metrics and /readyz are. */
  readonly local: ListenAddress;
  /** Distinguishes the replicas of this process from those of every other. */
  readonly suffix: string;
  listReplicas(role: string): Promise<ReplicaRecord[]>;
}

export interface FoundationDeps {
  readonly config: ServeConfig;
  readonly log: Logger;
  readonly shutdown: Shutdown;
}

/** Opens everything that is here; Redis may come later. What was opened is stopped with the process. */
export async function layFoundation(deps: FoundationDeps): Promise<Foundation> {
  const { config, log, shutdown } = deps;
  const clock = createSystemClock();
  const metrics = createMetrics();
  const readiness = createReadiness();
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  const records = await openRecords(recordsUrlOf(config));
  shutdown.add({ name: "records", deadlineMs: stopWithinMs, stop: () => records.close() });
  const proposedId = randomBytes(16).toString("hex");
  const recordsId = await records.storeId.loadOrCreate(proposedId, clock.wallMs());
  const serviceKey = await loadServiceKey({
    path: serviceKeyFileOf(config),
    mayCreate: config.serviceKeyFile === undefined,
    clock,
    log,
  });
  shutdown.add({ name: "service key", deadlineMs: stopWithinMs, stop: serviceKey.stop });
  const local = await startLocalServer({
    listen: config.metricsListen,
    flag: "--metrics-listen",
    metrics,
    readiness,
  });
  shutdown.add({ name: "local port", deadlineMs: stopWithinMs, stop: () => local.close() });
  const suffix = `${process.pid}-${randomBytes(3).toString("hex")}`;
  const redis = openStoreConnection({
    redisUrl: config.redisUrl,
    replicas: { count: config.redisReplicas, timeoutMs: config.redisReplicaTimeout },
    connectionName: `remex-${suffix}`,
    recordsId,
    part: readiness.part("redis"),
    clock,
    log,
  });
  shutdown.add({ name: "redis", deadlineMs: stopWithinMs, stop: redis.close });
  const listLiving = (role: string) => listReplicas(redis.store.redis, role);
  const peers = createPeers({ listReplicas: listLiving, key: serviceKey.key, clock, log });
  shutdown.add({ name: "peers", deadlineMs: stopWithinMs, stop: peers.close });
  return {
    ...{ clock, metrics, readiness, records, redis, peers, suffix },
    serviceKey: serviceKey.key,
    localLinks: createLocalLinks(),
    local: local.address,
    listReplicas: listLiving,
  };
}
