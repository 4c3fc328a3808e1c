// SPDX-License-Identifier: Apache-2.0
// `npm start`: starts everything on this machine, runs the sample work, shows it, and cleans up after itself.

import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { lockHolder, tryLock } from "../launch/lock.mjs";
import { LaunchError, runMain, say } from "../launch/progress.mjs";
import { ensureAirflowVenv } from "../tools/python.ts";
import { startAgent } from "./agent.ts";
import { dagIds, startAirflow, startTriggerer } from "./airflow.ts";
import { runDags } from "./airflow-run.ts";
import { airflowRuntime } from "./airflow-runtime.ts";
import { removeInstalled, removeRun } from "./clean.ts";
import { deployment, ensureAccess, startControlPlane } from "./control-plane.ts";
import { parseOptions, type StartOptions, usage } from "./options.ts";
import { choosePorts, type Ports } from "./ports.ts";
import { Programs } from "./programs.ts";
import { startRedis } from "./redis.ts";
import { runSamples } from "./samples.ts";
import { type RunResult, succeeded, summaryText, writeSummary } from "./summary.ts";

const agentSlots = 8;

/** Resolves at the first Ctrl-C; the second one does not wait any more. */
function interruption(programs: Programs): Promise<"interrupted"> {
  return new Promise((resolve) => {
    let times = 0;
    const onSignal = () => {
      times += 1;
      if (times === 1) {
        say("stopping everything (press Ctrl-C again to kill it)");
        resolve("interrupted");
        return;
      }
      programs.kill();
      process.exit(130);
    };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  });
}

async function runWork(
  programs: Programs,
  options: StartOptions,
  ports: Ports,
): Promise<RunResult> {
  const { dataDir } = options;
  const venv = options.withAirflow ? await ensureAirflowVenv() : undefined;
  const airflowUrl = options.withAirflow ? `http://127.0.0.1:${ports.airflow}` : undefined;
  const redisUrl = await startRedis(programs, dataDir);
  const plane = await startControlPlane(programs, { dataDir, redisUrl, ports });
  const access = await ensureAccess(plane, dataDir, airflowUrl);
  const agent = {
    ...{ dataDir, tokenFile: access.tokenFile, slots: agentSlots, healthPort: ports.agentHealth },
    queues: ["default"],
  };
  if (venv === undefined) {
    await startAgent(programs, plane, { ...agent, runtime: "process", env: {}, bins: [] });
    return runSamples(plane, dataDir);
  }
  const airflow = {
    venv,
    dataDir,
    port: ports.airflow,
    gatewayUrl: plane.url,
    submitterKeyFile: access.submitterKeyFile,
    deployment,
  };
  const [api] = await Promise.all([
    startAirflow(programs, airflow),
    startAgent(programs, plane, { ...agent, ...(await airflowRuntime(venv, dataDir)) }),
  ]);
  const result = await runDags(api, dagIds);
  if (!options.once) await startTriggerer(programs, airflow);
  return result;
}

function addresses(options: StartOptions, ports: Ports): string {
  const lines = [
    ["Remex API (REMEX_URL)", `http://127.0.0.1:${ports.gateway}`],
    ["admin key", path.join(options.dataDir, "control-plane", "admin.key")],
    ["agents connect to", `http://127.0.0.1:${ports.agents}`],
    ["control-plane metrics", `http://127.0.0.1:${ports.metrics}/metrics`],
    ...(options.withAirflow
      ? [["Airflow", `http://127.0.0.1:${ports.airflow} (no password)`]]
      : []),
    ["logs", path.join(options.dataDir, "logs")],
  ];
  return lines.map(([name, value]) => `  ${name?.padEnd(22)} ${value}`).join("\n");
}

async function runAll(programs: Programs, options: StartOptions): Promise<number> {
  const ports = await choosePorts();
  const interrupted = interruption(programs);
  const work = Promise.race([runWork(programs, options, ports), programs.failure]);
  // When the run is interrupted, what the work still meets is a consequence of that.
  work.catch(() => undefined);
  const result = await Promise.race([work, interrupted]);
  if (result === "interrupted") return 130;
  process.stdout.write(summaryText(result));
  if (options.summaryFile !== undefined) writeSummary(options.summaryFile, result);
  const code = succeeded(result) ? 0 : 1;
  if (options.once) return code;
  say(`everything keeps running; Ctrl-C stops it\n${addresses(options, ports)}`);
  await Promise.race([interrupted, programs.failure]);
  return code;
}

function refuseSecondRun(lockFile: string): void {
  while (!tryLock(lockFile)) {
    const holder = lockHolder(lockFile);
    if (holder === undefined) continue;
    throw new LaunchError(
      `another npm start (process ${holder}) uses ${path.dirname(lockFile)}`,
      "stop it with Ctrl-C in its terminal, or use another folder with --data-dir",
    );
  }
}

/** Everything here talks over loopback, which no proxy reaches. */
function keepLoopbackDirect(): void {
  for (const name of ["NO_PROXY", "no_proxy"]) {
    const given = process.env[name];
    process.env[name] = [...(given ? [given] : []), "127.0.0.1", "localhost"].join(",");
  }
}

async function start(options: StartOptions): Promise<number> {
  keepLoopbackDirect();
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  const lockFile = path.join(options.dataDir, "run.lock");
  refuseSecondRun(lockFile);
  const programs = new Programs(options.dataDir);
  try {
    await programs.endLeftovers();
    return await runAll(programs, options);
  } finally {
    await programs.stop();
    rmSync(lockFile, { force: true });
    say("everything is stopped");
  }
}

async function clean(options: StartOptions): Promise<number> {
  mkdirSync(options.dataDir, { recursive: true });
  refuseSecondRun(path.join(options.dataDir, "run.lock"));
  await new Programs(options.dataDir).endLeftovers();
  removeRun(options.dataDir);
  removeInstalled();
  say("removed .remex and all node_modules of this checkout");
  return 0;
}

await runMain(async () => {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(usage);
    return 0;
  }
  return options.clean ? clean(options) : start(options);
});
// A step that was interrupted may still wait for its program, which ends with this process.
process.exit();
