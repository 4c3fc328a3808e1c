// SPDX-License-Identifier: Apache-2.0
// The agent as a process: reads its settings, builds its parts, and ties them to signals.

import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, realpathSync } from "node:fs";
import { homedir, hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { AgentKind } from "@remex/proto/common/v1";
import {
  createLogger,
  createMetrics,
  createReadiness,
  createSystemClock,
  formatAddress,
  ListenError,
  type LocalServer,
  readConfig,
  Secret,
  startLocalServer,
} from "@remex/runtime";
import { type GrpcChannel, grpcChannelFor } from "@remex/transport";
import { type AgentConfig, agentSettings, crossProblems, drainDeadlineOf } from "./config.ts";
import { CallBook } from "./calls/call-book.ts";
import { shortSocketPath } from "./contract/socket-path.ts";
import { Agent } from "./shell/agent.ts";
import { createAgentMetrics } from "./shell/agent-metrics.ts";
import { diagnoseDial } from "./shell/dial-diagnosis.ts";
import { noteInstance, readFormerInstance, takeOwnership } from "./shell/instance-note.ts";
import { RunnerKeeper } from "./shell/runner-keeper.ts";
import { softwareVersion } from "./software-version.ts";

const exitFailed = 1;
const exitUsage = 2;
/** The same step failing again is told again this seldom. */
const diagnoseEveryMs = 30_000;
const watchEveryMs = 1_000;

/** The token never is an argument, which everybody on the host could read. */
function takeEnvironmentToken(): Secret | undefined {
  const token = process.env.REMEX_AGENT_TOKEN?.trim();
  delete process.env.REMEX_AGENT_TOKEN;
  return token === undefined || token === "" ? undefined : new Secret(token);
}

function loadConfig(): AgentConfig {
  const outcome = readConfig(
    { name: "remex-agent", description: "Runs work of a Remex deployment on this host." },
    agentSettings,
    { argv: process.argv.slice(2), env: process.env },
  );
  if (outcome.kind === "help") {
    process.stdout.write(outcome.text);
    process.exit(0);
  }
  const problems =
    outcome.kind === "refused" ? outcome.problems : crossProblems(outcome.config, environmentToken);
  if (outcome.kind === "ready" && problems.length === 0) return outcome.config;
  process.stderr.write(
    `remex-agent cannot start:\n${problems.map((problem) => `  - ${problem}\n`).join("")}`,
  );
  process.exit(exitUsage);
}

const environmentToken = takeEnvironmentToken();
const config = loadConfig();
const log = createLogger({ service: "agent", level: config.logLevel }).child({
  agent: config.name,
});
const clock = createSystemClock();
const stateDir = openStateDir(config);
const instance = randomBytes(16);
const caPem = config.caFile === undefined ? undefined : readOrExit(config.caFile, "--ca-file");
const metrics = createMetrics({ labels: { service: "agent" } });
const readiness = createReadiness();

/** In a sidecar's case the state directory is where its socket is. */
function openStateDir({ stateDir: named, runnerSocket, name }: AgentConfig): string {
  const path =
    named ??
    (runnerSocket === undefined
      ? join(homedir(), ".local", "state", "remex-agent", name)
      : dirname(runnerSocket));
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return realpathSync(path);
  } catch (error) {
    return refuse(`the state directory ${path} cannot be made: ${(error as Error).message}`);
  }
}

function readOrExit(path: string, flag: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    return refuse(`${flag}: ${path} cannot be read: ${(error as Error).message}`);
  }
}

function refuse(problem: string): never {
  process.stderr.write(`remex-agent cannot start:\n  - ${problem}\n`);
  process.exit(exitFailed);
}

/** Read at each new session: a replaced file takes effect without a restart. */
function readToken(): string {
  const { tokenFile } = config;
  if (tokenFile === undefined) return environmentToken?.reveal() ?? "";
  let token: string;
  try {
    token = readFileSync(tokenFile, "utf8").trim();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new Error(`the token file ${tokenFile} cannot be read (${code})`, { cause });
  }
  if (token === "") throw new Error(`the token file ${tokenFile} is empty`);
  return token;
}

function channel(): GrpcChannel {
  return grpcChannelFor({
    url: config.url,
    ...(caPem === undefined ? {} : { caPem }),
    ...(config.proxyUrl === undefined ? {} : { proxyUrl: config.proxyUrl }),
  });
}

/** The runner of this package, beside this file: as source, or bundled. */
function builtInRunner(): string[] {
  const here = fileURLToPath(import.meta.url);
  const runner = here.endsWith(".ts")
    ? join(dirname(here), "runner", "main.ts")
    : join(dirname(here), "remex-runner.mjs");
  return [process.execPath, runner];
}

function runnerCommand(): readonly string[] | undefined {
  if (config.runnerSocket !== undefined) return undefined;
  const command =
    config.runnerCommand?.split(/\s+/) ??
    (config.runtime === "airflow" ? ["remex-airflow", "runner"] : builtInRunner());
  return [...command, "--state-dir", stateDir];
}

/** What the runner inherits: everything but the agent's own settings, the token above all. */
function runnerEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !entry[0].startsWith("REMEX_"),
  );
  return Object.fromEntries(entries);
}

let diagnosedAtMs = Number.NEGATIVE_INFINITY;

async function explainUnreachable(): Promise<void> {
  if (clock.nowMs() - diagnosedAtMs < diagnoseEveryMs) return;
  diagnosedAtMs = clock.nowMs();
  const { url, proxyUrl } = config;
  const { step, finding } = await diagnoseDial({ url, proxyUrl, caPem });
  log.error({ step, reason: finding }, "control plane cannot be reached");
}

const kinds = {
  worker: AgentKind.WORKER,
  triggerer: AgentKind.TRIGGERER,
  "dag-processor": AgentKind.DAG_PROCESSOR,
} as const;

const keeper = new RunnerKeeper({
  command: runnerCommand(),
  socketPath:
    config.runnerSocket !== undefined && basename(config.runnerSocket) !== "runner.sock"
      ? config.runnerSocket
      : shortSocketPath(stateDir),
  environment: runnerEnvironment(),
  agent: config.name,
  instance,
  clock,
  log,
  onEvents: (events) => agent.takeRunnerEvents(events),
  onLost: () => agent.noteRunnerLost(),
  onLocked: () => agent.noteStateLocked(),
});

const agent: Agent = new Agent({
  name: config.name,
  kind: kinds[config.kind],
  queues: config.queues,
  labels: config.labels,
  slots: config.slots,
  group: config.group,
  hostname: hostname(),
  instance,
  stateDir,
  channel: channel(),
  readToken,
  tellRunner: (event) => keeper.send(event),
  onUnreachable: () => void explainUnreachable().catch((err) => log.debug({ err }, "no diagnosis")),
  former: readFormerInstance(stateDir),
  onRunner: (held) => takeOwnership(stateDir, instance, held),
  onOverthrown: () => process.exit(exitFailed),
  onSession: (session) => noteInstance(stateDir, instance, session),
  calls: new CallBook(stateDir),
  onLeft: () => void end(0),
  clock,
  log,
  metrics: createAgentMetrics(metrics),
  random: Math.random,
});

let local: LocalServer;
try {
  local = await startLocalServer({
    listen: config.healthListen,
    flag: "--health-listen",
    metrics,
    readiness,
  });
} catch (error) {
  if (error instanceof ListenError) refuse(error.message);
  throw error;
}

let ending = false;

async function end(code: number): Promise<void> {
  if (ending) return;
  ending = true;
  await keeper.stop();
  await agent.close();
  await local.close();
  log.info("agent has left");
  process.exit(code);
}

let signals = 0;

function onSignal(signal: string): void {
  signals += 1;
  if (signals === 1) agent.drain(signal, drainDeadlineOf(config));
  else if (signals === 2) {
    log.warn({ reason: signal }, "second signal: running tasks are stopped");
    agent.stopWork(signal);
  } else process.exit(130);
}

process.on("SIGTERM", () => onSignal("SIGTERM"));
process.on("SIGINT", () => onSignal("SIGINT"));
for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (err: unknown) => {
    log.fatal({ err }, "an error that nobody handled; exiting");
    process.exit(exitFailed);
  });
}

const parts = {
  controlPlane: readiness.part("control plane"),
  runner: readiness.part("runner"),
};
clock.every(watchEveryMs, () => {
  const { connected, leaseMs, runner } = agent.status();
  if (connected && leaseMs > 0) parts.controlPlane.ready();
  else parts.controlPlane.notReady(connected ? "no heartbeat is acknowledged" : "not connected");
  if (runner === "ready") parts.runner.ready();
  else parts.runner.notReady(runner);
});

log.info(
  { version: softwareVersion, health: formatAddress(local.address), stateDir },
  "agent starts",
);
await agent.start();
keeper.start();
