// SPDX-License-Identifier: Apache-2.0
// The long-running programs of one `npm start`: each in a process group of its own with a log file, all ended by pid.

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { runQuietly } from "../launch/child.mjs";
import { LaunchError, say } from "../launch/progress.mjs";

const endWithinMs = 15_000;
const pollMs = 50;
const shownLogLines = 15;

export interface ProgramSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Programs of a later stage end before those of an earlier one. */
  readonly stage: number;
}

interface Running {
  readonly spec: ProgramSpec;
  readonly child: ChildProcess;
  readonly logFile: string;
}

interface Record {
  readonly name: string;
  readonly pid: number;
  readonly startedAt: string;
}

function groupSignal(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    // No such group: everything in it has ended.
    if (code === "ESRCH") return false;
    // What is left of the group is dead but not collected (macOS), or not ours any more.
    if (code === "EPERM") return false;
    throw error;
  }
}

/** When a process started, as the system tells it: a pid that was given out again is another process. */
async function startedAt(pid: number): Promise<string> {
  const run = await runQuietly("ps", ["-o", "lstart=", "-p", String(pid)]).catch(() => ({
    output: "",
  }));
  return run.output.trim();
}

/** Whether some member of the group still runs; one that has ended but was not collected does not count. */
async function groupRuns(pid: number): Promise<boolean> {
  if (!groupSignal(pid, 0)) return false;
  const run = await runQuietly("ps", ["-A", "-o", "pgid=,stat="]).catch(() => undefined);
  if (run === undefined || run.code !== 0) return true;
  return run.output
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .some(
      ([group, state]) => Number(group) === pid && state !== undefined && !state.startsWith("Z"),
    );
}

async function endGroup(pid: number): Promise<void> {
  groupSignal(pid, "SIGTERM");
  const deadline = performance.now() + endWithinMs;
  while (performance.now() < deadline) {
    if (!(await groupRuns(pid))) return;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  groupSignal(pid, "SIGKILL");
}

export class Programs {
  /** Rejects when a program ends that nobody asked to end. */
  readonly failure: Promise<never>;
  readonly #running: Running[] = [];
  readonly #logDir: string;
  readonly #recordFile: string;
  #records: Record[] = [];
  #stopping = false;
  #fail: (error: Error) => void = () => {};

  constructor(dataDir: string) {
    this.#logDir = path.join(dataDir, "logs");
    this.#recordFile = path.join(dataDir, "programs.json");
    mkdirSync(this.#logDir, { recursive: true });
    this.failure = new Promise((_, reject) => {
      this.#fail = reject;
    });
    // Several programs may fail before anybody looks.
    this.failure.catch(() => undefined);
  }

  /** Ends what a run left behind that was killed before it could clean up. */
  async endLeftovers(): Promise<void> {
    let left: Record[];
    try {
      left = JSON.parse(readFileSync(this.#recordFile, "utf8")) as Record[];
    } catch {
      // No record, or one cut short while it was written: there is nothing that could be trusted.
      return;
    }
    for (const { name, pid, startedAt: since } of left) {
      if ((await startedAt(pid)) !== since) continue;
      say(`ending ${name} (process ${pid}), left over from an earlier run`);
      await endGroup(pid);
    }
    rmSync(this.#recordFile, { force: true });
  }

  async start(spec: ProgramSpec): Promise<void> {
    // The run was interrupted between two of its steps.
    if (this.#stopping) throw new LaunchError(`${spec.name} was not started`, "start again");
    const logFile = path.join(this.#logDir, `${spec.name}.log`);
    const log = openSync(logFile, "w");
    const { command, args, env, cwd } = spec;
    const child = spawn(command, args, { env, cwd, detached: true, stdio: ["ignore", log, log] });
    closeSync(log);
    child.once("error", (error) => this.#ended(spec.name, logFile, error.message));
    child.once("exit", (code, signal) => this.#ended(spec.name, logFile, `exit ${signal ?? code}`));
    if (child.pid === undefined) return;
    this.#running.push({ spec, child, logFile });
    this.#records.push({ name: spec.name, pid: child.pid, startedAt: await startedAt(child.pid) });
    this.#save();
  }

  logFileOf(name: string): string {
    return path.join(this.#logDir, `${name}.log`);
  }

  /** Ends everything, later stages first; a program that does not end is killed. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const stages = [...new Set(this.#running.map(({ spec }) => spec.stage))].sort((a, b) => b - a);
    for (const stage of stages) {
      const members = this.#running.filter(({ spec }) => spec.stage === stage);
      await Promise.all(members.map(({ child }) => endGroup(child.pid as number)));
    }
    rmSync(this.#recordFile, { force: true });
  }

  /** Kills everything at once. */
  kill(): void {
    this.#stopping = true;
    for (const { child } of this.#running) groupSignal(child.pid as number, "SIGKILL");
  }

  #save(): void {
    writeFileSync(this.#recordFile, JSON.stringify(this.#records));
  }

  #ended(name: string, logFile: string, how: string): void {
    if (this.#stopping) return;
    const lines = readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-shownLogLines);
    this.#fail(
      new LaunchError(
        `${name} ended (${how}); the end of its log:\n    ${lines.join("\n    ")}`,
        `read ${logFile}; \`npm start -- --clean\` begins from nothing`,
      ),
    );
  }
}
