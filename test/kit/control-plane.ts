// SPDX-License-Identifier: Apache-2.0
// A real control plane for a test: private Redis, real processes, all roles together or each apart.
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type PrivateRedis, startPrivateRedis } from "@remex/store/testing";
import { findFreePort } from "./places.ts";
import { type Program, startProgram } from "./program.ts";
import { waitFor } from "./wait.ts";

const serveMain = fileURLToPath(new URL("../../services/serve/src/main.ts", import.meta.url));

/** The roles, in the order in which they are started when they run apart. */
export const allRoles = ["token", "health-monitor", "scheduler", "registry", "gateway"] as const;
export type Role = (typeof allRoles)[number];

/** One process of the control plane. */
export interface RoleProcess {
  readonly roles: readonly Role[];
  /** host:port of the agents' door, where the process has the registry. */
  readonly agentsTarget: string;
  /** URL of the gateway, where the process has it. */
  readonly gatewayUrl: string;
  readonly metricsUrl: string;
  process(): Program;
  /** Starts it again after it has ended. */
  restart(): Promise<void>;
}

/** A running control plane. */
export interface ControlPlane {
  readonly redis: PrivateRedis;
  readonly processes: readonly RoleProcess[];
  /** URL of the gateway. */
  readonly url: string;
  /** host:port of the agents' door. */
  readonly agentsTarget: string;
  readonly adminKey: string;
  readonly adminKeyFile: string;
  readonly folder: string;
  /** All output of all processes, for a failed test. */
  output(): string;
  stop(): Promise<void>;
}

/** How the roles are spread over processes. */
export interface Layout {
  /** Default: one process with all roles. */
  readonly processes?: readonly (readonly Role[])[];
  /** Further settings of Redis. */
  readonly redisArgs?: readonly string[];
  /** Redis as the services reach it, where that is not the server itself. */
  readonly redisUrl?: (serverUrl: string) => string;
  /** Further flags of a process that listens for other services on this port. */
  readonly args?: (roles: readonly Role[], internalPort: number) => readonly string[];
}

/** Every role as a process of its own. */
export const rolesApart: Layout = { processes: allRoles.map((role) => [role]) };

/** Starts a control plane and waits until every process of it is ready. */
export async function startControlPlane(layout: Layout = {}): Promise<ControlPlane> {
  const folder = await mkdtemp(join(tmpdir(), "remex-control-plane-"));
  const redis = await startPrivateRedis(layout.redisArgs);
  const processes: RoleProcess[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(processes.map((each) => each.process().stop()));
    await redis.stop();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    for (const roles of layout.processes ?? [allRoles]) {
      processes.push(
        await startRoles(roles, folder, layout.redisUrl?.(redis.url) ?? redis.url, layout),
      );
    }
    await Promise.all(processes.map(untilReady));
  } catch (error) {
    const output = processes.map((each) => each.process().output()).join("\n");
    await stop();
    throw new Error(`the control plane did not start:\n${output}`, { cause: error });
  }
  const adminKeyFile = join(folder, "admin.key");
  const serving = (role: Role): RoleProcess => {
    const found = processes.find((each) => each.roles.includes(role));
    if (!found) throw new Error(`no process serves ${role}`);
    return found;
  };
  return {
    redis,
    processes,
    url: serving("gateway").gatewayUrl,
    agentsTarget: serving("registry").agentsTarget,
    adminKey: readFileSync(adminKeyFile, "utf8").trim(),
    adminKeyFile,
    folder,
    output: () => processes.map((each) => each.process().output()).join("\n"),
    stop,
  };
}

async function startRoles(
  roles: readonly Role[],
  folder: string,
  redisUrl: string,
  layout: Layout,
): Promise<RoleProcess> {
  const ports = await Promise.all([1, 2, 3, 4].map(findFreePort));
  const [gateway, agents, internal, metrics] = ports.map((port) => `127.0.0.1:${port}`);
  const args = [
    serveMain,
    ...["--roles", roles.join(",")],
    ...["--redis-url", redisUrl, "--records", `sqlite:${join(folder, "records.sqlite")}`],
    ...["--data-dir", folder, "--gateway-listen", `${gateway}`, "--agents-listen", `${agents}`],
    ...["--internal-listen", `${internal}`, "--metrics-listen", `${metrics}`],
    ...(layout.args?.(roles, ports[2] ?? 0) ?? []),
  ];
  const launch = (): Program => startProgram(process.execPath, args);
  let running = launch();
  const own: RoleProcess = {
    roles,
    agentsTarget: `${agents}`,
    gatewayUrl: `http://${gateway}`,
    metricsUrl: `http://${metrics}`,
    process: () => running,
    restart: async () => {
      running = launch();
      await untilReady(own);
    },
  };
  return own;
}

async function untilReady(each: RoleProcess): Promise<void> {
  await waitFor(
    async () => {
      const answer = await fetch(`${each.metricsUrl}/readyz`);
      if (answer.status === 200) return true;
      throw new Error(await answer.text());
    },
    { what: `readiness of ${each.roles.join(",")}`, timeoutMs: 90_000 },
  );
}
