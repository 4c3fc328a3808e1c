// SPDX-License-Identifier: Apache-2.0
// Puts the roles of one process together, starts them in order and says how they do.

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { openRecords } from "@remex/records";
import {
  createMetrics,
  createReadiness,
  createSystemClock,
  formatAddress,
  type ListenAddress,
  type Logger,
  type Shutdown,
  startLocalServer,
} from "@remex/runtime";
import {
  createDeploymentStore,
  createSessionStore,
  createTaskStore,
  listReplicas,
} from "@remex/store";
import {
  addHealthRoutes,
  createLocalLinks,
  maxLinkFrameBytes,
  type ServiceRole,
  serveConnect,
  serviceKeyGate,
} from "@remex/transport";
import { createPeers } from "./peers.ts";
import { createReplicaRecords } from "./replica-records.ts";
import { createGatewayRole } from "./roles/gateway.ts";
import { createHealthMonitorRole } from "./roles/health-monitor.ts";
import { createRegistryRole } from "./roles/registry.ts";
import type { Role, RoleContext } from "./roles/role.ts";
import { createSchedulerRole } from "./roles/scheduler.ts";
import { createTokenRole } from "./roles/token.ts";
import { loadServiceKey } from "./service-key.ts";
import { recordsUrlOf, type ServeConfig, serviceKeyFileOf } from "./settings.ts";
import { softwareVersion } from "./software-version.ts";
import { openStoreConnection } from "./store-connection.ts";

/** Builders by role, in the order in which roles of one process are started. */
const builders: readonly (readonly [
  ServiceRole,
  (context: RoleContext) => Role | Promise<Role>,
])[] = [
  ["token", createTokenRole],
  ["health-monitor", createHealthMonitorRole],
  ["scheduler", createSchedulerRole],
  ["registry", createRegistryRole],
  ["gateway", createGatewayRole],
];

export interface ControlPlaneDeps {
  readonly config: ServeConfig;
  readonly log: Logger;
  /** A logger for a role of this process. */
  logFor(role: ServiceRole, replica: string): Logger;
  readonly shutdown: Shutdown;
}

const stopWithinMs = 10_000;
const lookAtProblemsMs = 500;
/** Links and batched calls of many peers share a connection. */
const internalStreams = 10_000;

/** Starts everything; settles when all ports are open, Redis may come later. */
export async function startControlPlane(deps: ControlPlaneDeps): Promise<void> {
  const { config, log, shutdown } = deps;
  const clock = createSystemClock();
  const metrics = createMetrics();
  const readiness = createReadiness();
  // Roles report one by one as they start; until the last of them listens, the process is not ready.
  const start = readiness.part("start");
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  const records = await openRecords(recordsUrlOf(config));
  shutdown.add({ name: "records", deadlineMs: stopWithinMs, stop: () => records.close() });
  const recordsId = await records.storeId.loadOrCreate(
    randomBytes(16).toString("hex"),
    clock.wallMs(),
  );
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
  const localLinks = createLocalLinks();

  const roles: Role[] = [];
  const replicas = new Map<ServiceRole, string>();
  for (const [role, build] of builders) {
    if (!config.roles.includes(role)) continue;
    const replica = `${role}-${suffix}`;
    replicas.set(role, replica);
    const built = await build({
      config,
      replica,
      clock,
      log: deps.logFor(role, replica),
      metrics,
      readiness,
      records,
      store: redis.store,
      connections: redis.connections,
      deployments: createDeploymentStore(redis.store),
      sessions: createSessionStore(redis.store),
      tasks: createTaskStore(redis.store),
      peers,
      localLinks,
      serviceKey: serviceKey.key,
      listReplicas: listLiving,
      onStoreFit: redis.onFit,
    });
    peers.serve(role, built.routes);
    roles.push(built);
  }

  const internal = await serveConnect({
    listen: config.internalListen,
    flag: "--internal-listen",
    routes: (router) => {
      for (const role of roles) role.routes(router);
      addHealthRoutes(router, { readiness, services: [] });
    },
    gate: serviceKeyGate(serviceKey.key),
    maxMessageBytes: maxLinkFrameBytes,
    maxStreams: internalStreams,
    clock,
    log,
    metrics,
  });
  shutdown.add({
    name: "internal port",
    deadlineMs: stopWithinMs,
    stop: () => internal.close(stopWithinMs / 4),
  });

  const addresses: Record<string, string> = {};
  for (const role of roles) {
    Object.assign(addresses, await role.start());
    shutdown.add({ name: role.role, deadlineMs: stopWithinMs, stop: () => role.stop() });
    const part = readiness.part(role.role);
    const look = (): void => {
      const [problem] = role.problems();
      if (problem === undefined) part.ready();
      else part.notReady(problem);
    };
    look();
    const cancel = clock.every(lookAtProblemsMs, look);
    shutdown.add({ name: `${role.role} readiness`, deadlineMs: stopWithinMs, stop: cancel });
  }

  const address = advertised(config, internal.address);
  const own = createReplicaRecords({
    store: redis.store,
    records: [...replicas].map(([role, replica]) => ({ role, replica, address, softwareVersion })),
    clock,
    log,
  });
  redis.onFit(own.renew);
  own.start();
  shutdown.add({ name: "replica records", deadlineMs: stopWithinMs, stop: () => own.stop() });

  start.ready();
  readiness.onChange((report) => {
    if (report.ready) log.info("ready");
    else log.warn({ problems: report.problems }, "not ready");
  });
  const adminKeyFile = join(config.dataDir, "admin.key");
  log.info(
    {
      roles: config.roles,
      ...addresses,
      internal: `http://${formatAddress(internal.address)}`,
      metrics: `http://${formatAddress(local.address)}/metrics`,
      dataDir: config.dataDir,
      records: recordsUrlOf(config),
      ...(existsSync(adminKeyFile) ? { adminKeyFile } : {}),
    },
    "remex serves",
  );
  void redis.fit.catch((error: unknown) => {
    // PROTOCOL D1: a Redis that may lose leases is refused at the start; a person has to change it.
    log.fatal({ err: error }, "this redis cannot be used; stopping");
    process.exitCode = 1;
    void shutdown.stop("redis is not fit").then(() => process.exit(1));
  });
}

function advertised(config: ServeConfig, bound: ListenAddress): string {
  const stated = config.internalAdvertise;
  if (stated !== undefined) {
    return `http://${/:\d+$/.test(stated) ? stated : formatAddress({ host: stated, port: bound.port })}`;
  }
  const everywhere = bound.host === "::" || bound.host === "0.0.0.0";
  return `http://${formatAddress({ host: everywhere ? hostname() : bound.host, port: bound.port })}`;
}
