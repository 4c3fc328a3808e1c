// SPDX-License-Identifier: Apache-2.0
// Puts the roles of one process together, starts them in order and says how they do.

import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { formatAddress, type ListenAddress, type Logger, type Shutdown } from "@remex/runtime";
import { createDeploymentStore, createSessionStore, createTaskStore } from "@remex/store";
import {
  addHealthRoutes,
  maxLinkFrameBytes,
  type RunningServer,
  type ServiceRole,
  serveConnect,
  serviceKeyGate,
} from "@remex/transport";
import { type Foundation, layFoundation, stopWithinMs } from "./foundation.ts";
import { createReplicaRecords } from "./replica-records.ts";
import { createGatewayRole } from "./roles/gateway.ts";
import { createHealthMonitorRole } from "./roles/health-monitor.ts";
import { createRegistryRole } from "./roles/registry.ts";
import type { Role, RoleContext } from "./roles/role.ts";
import { createSchedulerRole } from "./roles/scheduler.ts";
import { createTokenRole } from "./roles/token.ts";
import { recordsUrlOf, type ServeConfig } from "./settings.ts";
import { softwareVersion } from "./software-version.ts";

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

const lookAtProblemsMs = 500;
/** Links and batched calls of many peers share a connection. */
const internalStreams = 10_000;

/** Starts everything; settles when all ports are open, Redis may come later. */
export async function startControlPlane(deps: ControlPlaneDeps): Promise<void> {
  const { log, shutdown } = deps;
  const foundation = await layFoundation(deps);
  const { readiness, redis } = foundation;
  // Roles report one by one as they start; until the last of them listens, the process is not ready.
  const start = readiness.part("start");
  const roles = await buildRoles(deps, foundation);
  const internal = await openInternalPort(deps, foundation, roles);
  const addresses: Record<string, string> = {};
  for (const role of roles) {
    Object.assign(addresses, await startRole(role, foundation, shutdown));
  }
  keepReplicaRecords(deps, foundation, roles, internal.address);
  start.ready();
  readiness.onChange((report) => {
    if (report.ready) log.info("ready");
    else log.warn({ problems: report.problems }, "not ready");
  });
  announce(deps, foundation, { ...addresses, internal: urlOf(internal.address) });
  void redis.fit.catch((error: unknown) => {
    // PROTOCOL D1: a Redis that may lose leases is refused at the start; a person has to change it.
    log.fatal({ err: error }, "this redis cannot be used; stopping");
    void shutdown.stop("redis is not fit").then(() => process.exit(1));
  });
}

async function buildRoles(deps: ControlPlaneDeps, foundation: Foundation): Promise<Role[]> {
  const { config } = deps;
  const { redis, suffix, local: _local, ...shared } = foundation;
  const roles: Role[] = [];
  for (const [role, build] of builders) {
    if (!config.roles.includes(role)) continue;
    const replica = `${role}-${suffix}`;
    const built = await build({
      ...shared,
      config,
      replica,
      log: deps.logFor(role, replica),
      store: redis.store,
      connections: redis.connections,
      deployments: createDeploymentStore(redis.store),
      sessions: createSessionStore(redis.store),
      tasks: createTaskStore(redis.store),
      onStoreFit: redis.onFit,
      claimEpoch: redis.claimEpoch,
    });
    shared.peers.serve(role, built.routes);
    roles.push(built);
  }
  return roles;
}

async function openInternalPort(
  deps: ControlPlaneDeps,
  foundation: Foundation,
  roles: readonly Role[],
): Promise<RunningServer> {
  const { clock, metrics, readiness } = foundation;
  const server = await serveConnect({
    listen: deps.config.internalListen,
    flag: "--internal-listen",
    routes: (router) => {
      for (const role of roles) role.routes(router);
      const services = [...new Set(router.handlers.map((handler) => handler.service.typeName))];
      const checks = Object.assign({}, ...roles.map((role) => role.checks ?? {}));
      addHealthRoutes(router, { readiness, services, checks });
    },
    gate: serviceKeyGate(foundation.serviceKey),
    maxMessageBytes: maxLinkFrameBytes,
    maxStreams: internalStreams,
    clock,
    log: deps.log,
    metrics,
  });
  deps.shutdown.add({
    name: "internal port",
    deadlineMs: stopWithinMs,
    stop: () => server.close(stopWithinMs / 4),
  });
  return server;
}

async function startRole(
  role: Role,
  foundation: Foundation,
  shutdown: Shutdown,
): Promise<Readonly<Record<string, string>>> {
  const addresses = await role.start();
  shutdown.add({ name: role.role, deadlineMs: stopWithinMs, stop: () => role.stop() });
  const part = foundation.readiness.part(role.role);
  const look = (): void => {
    const [problem] = role.problems();
    if (problem === undefined) part.ready();
    else part.notReady(problem);
  };
  look();
  const cancel = foundation.clock.every(lookAtProblemsMs, look);
  shutdown.add({ name: `${role.role} readiness`, deadlineMs: stopWithinMs, stop: cancel });
  return addresses;
}

/** Other processes find the roles by these; they are taken away before anything else stops. */
function keepReplicaRecords(
  deps: ControlPlaneDeps,
  foundation: Foundation,
  roles: readonly Role[],
  bound: ListenAddress,
): void {
  const { clock, redis, suffix } = foundation;
  const address = advertised(deps.config, bound);
  const records = createReplicaRecords({
    store: redis.store,
    records: roles.map(({ role }) => ({
      ...{ role, replica: `${role}-${suffix}`, address, softwareVersion },
    })),
    clock,
    log: deps.log,
  });
  redis.onFit(records.renew);
  records.start();
  deps.shutdown.add({
    name: "replica records",
    deadlineMs: stopWithinMs,
    stop: () => records.stop(),
  });
}

function announce(
  { config, log }: ControlPlaneDeps,
  foundation: Foundation,
  addresses: Readonly<Record<string, string>>,
): void {
  const adminKeyFile = join(config.dataDir, "admin.key");
  log.info(
    {
      roles: config.roles,
      ...addresses,
      metrics: `${urlOf(foundation.local)}/metrics`,
      dataDir: config.dataDir,
      records: recordsUrlOf(config),
      ...(existsSync(adminKeyFile) ? { adminKeyFile } : {}),
    },
    "remex serves",
  );
}

function urlOf(address: ListenAddress): string {
  return `http://${formatAddress(address)}`;
}

function advertised(config: ServeConfig, bound: ListenAddress): string {
  const stated = config.internalAdvertise;
  if (stated !== undefined) {
    return /:\d+$/.test(stated) ? `http://${stated}` : urlOf({ host: stated, port: bound.port });
  }
  const everywhere = bound.host === "::" || bound.host === "0.0.0.0";
  return urlOf({ host: everywhere ? hostname() : bound.host, port: bound.port });
}
