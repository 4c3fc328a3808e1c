// SPDX-License-Identifier: Apache-2.0
// The control plane of one run, and what is made in it through the remex command: deployment, token, key.

import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { runQuietly } from "../launch/child.mjs";
import { LaunchError, step } from "../launch/progress.mjs";
import { rootDir } from "../launch/toolchain.mjs";
import type { Ports } from "./ports.ts";
import type { Programs } from "./programs.ts";
import { answers, waitUntil } from "./wait.ts";

export const deployment = "default";
const cliMain = path.join(rootDir, "packages", "cli", "src", "main.ts");

export interface ControlPlane {
  readonly url: string;
  /** Where agents connect to. */
  readonly agentsUrl: string;
  /** Runs one remex command as the admin and resolves with what it printed as JSON. */
  remex<T>(...args: string[]): Promise<T>;
}

function createRemexCommand(url: string, keyFile: string): ControlPlane["remex"] {
  return async (...args) => {
    const env = { ...process.env, REMEX_URL: url, REMEX_KEY_FILE: keyFile };
    const run = await runQuietly(process.execPath, [cliMain, "-o", "json", ...args], {
      env,
      cwd: rootDir,
    });
    if (run.code === 0) return JSON.parse(run.stdout);
    throw new LaunchError(
      `remex ${args.join(" ")} failed:\n${run.output.trim()}`,
      "npm start -- --clean, then npm start",
    );
  };
}

export async function startControlPlane(
  programs: Programs,
  settings: { readonly dataDir: string; readonly redisUrl: string; readonly ports: Ports },
): Promise<ControlPlane> {
  const { ports } = settings;
  const dir = path.join(settings.dataDir, "control-plane");
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const listen = (name: string, port: number) => [`--${name}-listen`, `127.0.0.1:${port}`];
  const args = [
    ...[cliMain, "serve", "--data-dir", dir, "--redis-url", settings.redisUrl],
    ...["--records", `sqlite:${path.join(dir, "records.sqlite")}`],
    ...[...listen("gateway", ports.gateway), ...listen("agents", ports.agents)],
    ...[...listen("internal", ports.internal), ...listen("metrics", ports.metrics)],
  ];
  await step("starting the control plane", async () => {
    await programs.start({
      name: "control-plane",
      command: process.execPath,
      args,
      env: process.env,
      cwd: rootDir,
      stage: 1,
    });
    const ready = () => answers(`http://127.0.0.1:${ports.metrics}/readyz`);
    await waitUntil(
      "the control plane",
      60_000,
      ready,
      `read ${programs.logFileOf("control-plane")}`,
    );
  });
  const url = `http://127.0.0.1:${ports.gateway}`;
  return {
    url,
    agentsUrl: `http://127.0.0.1:${ports.agents}`,
    remex: createRemexCommand(url, path.join(dir, "admin.key")),
  };
}

export interface Access {
  readonly tokenFile: string;
  readonly submitterKeyFile: string;
}

interface Deployment {
  readonly deployment: string;
  readonly settings?: { readonly airflowApiUrl?: string; readonly heartbeatInterval?: string };
}

/**
 * After a restart of Redis nothing is offered for three intervals (PROTOCOL D2): a second start would
 * stand still for half a minute with the interval of a production deployment.
 */
const heartbeat = "3s";
const stopTime = "2s";

/** Makes the deployment once, and tells it where Airflow is this time, if it runs. */
async function ensureDeployment(
  plane: ControlPlane,
  airflowUrl: string | undefined,
): Promise<void> {
  const all = await plane.remex<readonly Deployment[]>("deployments", "list");
  const known = all.find((each) => each.deployment === deployment);
  const airflow = airflowUrl === undefined ? [] : ["--airflow-api-url", airflowUrl];
  const settings = ["--heartbeat", heartbeat, "--stop-time", stopTime, ...airflow];
  if (known === undefined) {
    await plane.remex("deployments", "create", deployment, ...settings);
  } else if (
    known.settings?.heartbeatInterval !== heartbeat ||
    (airflowUrl !== undefined && known.settings.airflowApiUrl !== airflowUrl)
  ) {
    await plane.remex("deployments", "update", deployment, ...settings);
  }
}

/** Keeps a credential that is shown once; the next start uses it again. */
async function ensureSecret(plane: ControlPlane, file: string, args: string[]): Promise<string> {
  if (existsSync(file)) return file;
  // The name of one that was made and never kept is taken.
  const name = `${path.parse(file).name}-${Date.now().toString(36)}`;
  const common = ["--deployment", deployment, "--name", name, "--expires", "never"];
  const { value } = await plane.remex<{ value: string }>(...args, ...common);
  writeFileSync(file, `${value}\n`, { mode: 0o600 });
  return file;
}

/** Makes the deployment, an agent token and a submitter key, each once per data folder. */
export async function ensureAccess(
  plane: ControlPlane,
  dataDir: string,
  airflowUrl: string | undefined,
): Promise<Access> {
  return step("preparing the deployment, an agent token and a submitter key", async () => {
    await ensureDeployment(plane, airflowUrl);
    const key = ["keys", "create", "--role", "submitter"];
    const [tokenFile, submitterKeyFile] = await Promise.all([
      ensureSecret(plane, path.join(dataDir, "agent.token"), ["tokens", "create"]),
      ensureSecret(plane, path.join(dataDir, "submitter.key"), key),
    ]);
    return { tokenFile, submitterKeyFile };
  });
}
