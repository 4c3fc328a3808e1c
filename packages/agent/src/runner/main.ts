// SPDX-License-Identifier: Apache-2.0
// The process runner as a process: `main.ts --state-dir DIR`, started by the agent or beside it.

import { fstatSync, mkdirSync, realpathSync } from "node:fs";
import { parseArgs } from "node:util";
import { createLogger, createSystemClock, type LogLevel, logLevels } from "@remex/runtime";
import { destination } from "pino";
import { softwareVersion } from "../software-version.ts";
import { cleanEnvironment } from "./launcher.ts";
import { type ProcessRunner, StateRefusal, startProcessRunner } from "./process-runner.ts";

/** Somebody holds the state directory: whoever started the runner may try again. */
const exitLocked = 75;
/** The state directory will never do. */
const exitUnsuitable = 78;
const exitUsage = 2;
const exitBroken = 1;

const usage = `usage: remex-runner --state-dir DIR [--log-level LEVEL]

Runs commands for one Remex agent, which connects to DIR/runner.sock.

  --state-dir DIR     lock, journal, socket and logs; a directory of a local disk
  --lock-wait SECONDS how long a lock that an older runner's work holds is waited for (default: 12)
  --log-level LEVEL   one of ${logLevels.join(", ")} (default: info)
`;

interface RunnerArguments {
  readonly stateDir: string;
  readonly logLevel: LogLevel;
  readonly lockWaitMs: number;
}

/** Twice the stop time that deployments have by default. */
const defaultLockWait = "12";

function readArguments(argv: readonly string[]): RunnerArguments | string {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        "state-dir": { type: "string" },
        "log-level": { type: "string" },
        "lock-wait": { type: "string", default: defaultLockWait },
      },
    });
    const level = values["log-level"] ?? "info";
    const logLevel = logLevels.find((known) => known === level);
    if (!values["state-dir"]) return "--state-dir is missing";
    if (logLevel === undefined) return `--log-level ${level} is not known`;
    const lockWaitMs = Number(values["lock-wait"]) * 1_000;
    if (!(lockWaitMs >= 0)) return `--lock-wait ${values["lock-wait"]} is not a number of seconds`;
    return { stateDir: values["state-dir"], logLevel, lockWaitMs };
  } catch (error) {
    return (error as Error).message;
  }
}

const parsed = readArguments(process.argv.slice(2));
if (typeof parsed === "string") {
  process.stderr.write(`remex-runner: ${parsed}\n\n${usage}`);
  process.exit(exitUsage);
}
mkdirSync(parsed.stateDir, { recursive: true, mode: 0o700 });
// Standard output belongs to nobody; the agent reads the log from standard error.
const log = createLogger({
  service: "runner",
  level: parsed.logLevel,
  destination: destination({ dest: 2, sync: true }),
});

let runner: ProcessRunner | undefined;

/** Ends in order; a runner that still waits for its lock has nothing to end. */
function stop(): void {
  if (runner === undefined) process.exit(0);
  else runner.stop();
}

for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, stop);

// Started by an agent, standard input is a pipe from it: should the agent die before it has connected,
// its end closes and nobody is left to run work for. In a container of its own it is no pipe.
const input = fstatSync(0);
if (input.isFIFO() || input.isSocket()) {
  process.stdin.on("end", stop);
  process.stdin.on("error", stop);
  process.stdin.resume();
}

// Nothing else keeps a process alive that only waits for a lock.
const awake = setInterval(() => undefined, 1_000);
try {
  runner = await startProcessRunner({
    stateDir: realpathSync(parsed.stateDir),
    clock: createSystemClock(),
    log,
    environment: cleanEnvironment(process.env),
    softwareVersion,
    lockWaitMs: parsed.lockWaitMs,
    onEnded: () => process.exit(0),
    onBroken: () => process.exit(exitBroken),
  });
} catch (error) {
  if (!(error instanceof StateRefusal)) throw error;
  // An agent that goes on trying has told it once.
  const level = process.env.REMEX_RUNNER_RETRY === undefined ? "error" : "debug";
  log[level]({ reason: error.message }, "the state directory cannot be used");
  process.exit(error.locked ? exitLocked : exitUnsuitable);
}
clearInterval(awake);
