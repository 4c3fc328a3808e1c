// SPDX-License-Identifier: Apache-2.0
// The long-running programs of one `npm start`: each in a process group of its own with a log file, all ended by pid.

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { LaunchError, say } from "../launch/progress.mjs";
import { below, listProcesses, nameOf, type Process } from "./processes.ts";

const endWithinMs = 20_000;
const pollMs = 100;
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

function readRecords(file: string): readonly Record[] {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Record[];
  } catch {
    // No record, or one cut short while it was written: there is nothing that could be trusted.
    return [];
  }
}

function startOf(pid: number): string {
  return listProcesses().find((each) => each.pid === pid)?.startedAt ?? "";
}

/** A process that has ended meanwhile, or is not ours (any more), is no matter. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

/** Everything of a program: what is below it, and what is left of its group. */
function membersOf(root: number, all: readonly Process[]): Process[] {
  const group = all.filter((each) => each.group === root && each.pid !== root);
  return [...below(root, all), ...group.flatMap((each) => below(each.pid, all))];
}

/**
 * Asks a program to end, and ends by force what is left of it after a while: what it started too,
 * even in groups of its own, as agents do with their runners and runners with tasks.
 */
async function endTree(root: number): Promise<void> {
  const known = new Map<string, Process>();
  const living = (): Process[] => {
    const all = listProcesses();
    for (const each of membersOf(root, all)) known.set(nameOf(each), each);
    return all.filter((each) => known.has(nameOf(each)));
  };
  const asked = new Set<string>();
  /** Those in groups of their own are left to their parents, as long as these end them in order. */
  const askOrphans = (left: readonly Process[]): void => {
    if (left.some(({ group }) => group === root)) return;
    for (const each of left) {
      if (!asked.has(nameOf(each))) signal(each.pid, "SIGTERM");
      asked.add(nameOf(each));
    }
  };
  let left = living();
  signal(-root, "SIGTERM");
  const deadline = performance.now() + endWithinMs;
  while (left.length > 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, pollMs));
    left = living();
    askOrphans(left);
  }
  for (const { pid } of left) signal(pid, "SIGKILL");
}

export class Programs {
  /** Rejects when a program ends that nobody asked to end. */
  readonly failure: Promise<never>;
  readonly #running: Running[] = [];
  readonly #dataDir: string;
  readonly #logDir: string;
  readonly #recordFile: string;
  #records: Record[] = [];
  #stopping = false;
  #fail: (error: Error) => void = () => {};

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
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
    const recorded = readRecords(this.#recordFile);
    for (const { pid, startedAt, args } of listProcesses()) {
      const record = recorded.find((each) => each.pid === pid && each.startedAt === startedAt);
      // A runner outlives its agent on purpose.
      const isRunner = args.includes(`--state-dir ${this.#dataDir}${path.sep}`);
      if (record === undefined && !isRunner) continue;
      const name = record?.name ?? "a runner";
      say(`ending ${name} (process ${pid}), left over from an earlier run`);
      await endTree(pid);
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
    this.#records.push({ name: spec.name, pid: child.pid, startedAt: startOf(child.pid) });
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
      await Promise.all(members.map(({ child }) => endTree(child.pid as number)));
    }
    rmSync(this.#recordFile, { force: true });
  }

  /** Kills everything at once. */
  kill(): void {
    this.#stopping = true;
    const all = listProcesses();
    const members = this.#running.flatMap(({ child }) => membersOf(child.pid as number, all));
    for (const { pid } of members) signal(pid, "SIGKILL");
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
