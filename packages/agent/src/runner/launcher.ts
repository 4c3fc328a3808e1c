// SPDX-License-Identifier: Apache-2.0
// Starts the command of an attempt under a leader of its own, and tells how it ended.

import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, closeSync, constants, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, isAbsolute, join } from "node:path";
import type { Duplex } from "node:stream";
import { getSystemErrorName } from "node:util";
import type { CommandWorkJson } from "@remex/proto/common/v1";
import { openLog } from "./attempt-log.ts";
import { type LeaderProgram, leaderEnvironment, parseLeaderLine } from "./leader.ts";
import { readOutOfMemoryKills } from "./memory-events.ts";
import type { Exit } from "./outcome.ts";
import { type AttemptCookie, cookieVariables } from "./process-tree.ts";

export interface Launch {
  readonly work: CommandWorkJson;
  readonly cookie: AttemptCookie;
  readonly logPath: string;
  /** What every task of this runner gets; see `cleanEnvironment`. */
  readonly environment: Readonly<Record<string, string>>;
  /** Absent where this system has none: the command is then this process's own child. */
  readonly leader: LeaderProgram | undefined;
  /** What the leader gives the work between TERM and KILL, should this process die. */
  readonly stopMs: number;
  /** The command's process is there. */
  readonly onStarted: (pid: number) => void;
  readonly onExit: (exit: Exit) => void;
  /** The system would not start it after all. */
  readonly onFailed: (message: string) => void;
}

/** What this process parents for an attempt. */
export interface LaunchedWork {
  /** The leader, or without one the command itself. */
  readonly pid: number;
  /** Asks the leader for TERM at once and KILL after so long; undefined without a leader. */
  readonly stop: ((graceMs: number) => void) | undefined;
}

export type LaunchOutcome =
  | { readonly kind: "launched"; readonly work: LaunchedWork }
  | { readonly kind: "failed"; readonly message: string };

/** Variables that a task may take over from the runner: where programs, people and time zones are. */
const inherited = [
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "SHELL",
  "LANG",
  "LC_ALL",
  "LC_CTYPE",
  "TZ",
  "TMPDIR",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
] as const;

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** A clean environment: nothing of the runner's own settings, and never a credential of the agent. */
export function cleanEnvironment(
  from: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const environment: Record<string, string> = { PATH: defaultPath };
  for (const name of inherited) {
    const value = from[name];
    if (value !== undefined && value !== "") environment[name] = value;
  }
  return environment;
}

/** Starts a command. A program or folder that cannot be used is an outcome, not an exception. */
export function launchCommand(launch: Launch): LaunchOutcome {
  const [program = "", ...args] = launch.work.argv ?? [];
  const env = { ...launch.environment, ...launch.work.env, ...cookieVariables(launch.cookie) };
  let folder: WorkFolder;
  let log: number;
  try {
    const problem = programProblem(program, env.PATH ?? defaultPath, launch.work.cwd);
    if (problem !== undefined) return { kind: "failed", message: problem };
    folder = openFolder(launch.work.cwd, launch.cookie);
    log = openLog(launch.logPath);
  } catch (error) {
    return { kind: "failed", message: `the agent's disk refused: ${(error as Error).message}` };
  }
  const { leader } = launch;
  const killsBefore = readOutOfMemoryKills();
  try {
    const child =
      leader === undefined
        ? spawnAlone(program, args, folder.path, env, log)
        : spawnLed(leader, launch, folder.path, env, log);
    return watchChild(child, program, folder, killsBefore, launch);
  } catch (error) {
    folder.remove();
    return { kind: "failed", message: startProblem(program, error as NodeJS.ErrnoException) };
  } finally {
    closeSync(log);
  }
}

function spawnAlone(
  program: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string>,
  log: number,
): ChildProcess {
  // A session of its own: what the command starts is in its group unless it leaves it on purpose.
  return spawn(program, args, { cwd, env, stdio: ["ignore", log, log], detached: true });
}

function spawnLed(
  leader: LeaderProgram,
  { work, stopMs }: Launch,
  cwd: string,
  env: Record<string, string>,
  log: number,
): ChildProcess {
  const [perl, script] = leader.command;
  const argv = [script, String(leader.prctl), String(stopMs), ...(work.argv ?? [])];
  return spawn(perl, argv, {
    cwd,
    env: leaderEnvironment(env),
    stdio: ["ignore", log, log, leader.lockFile, "pipe"],
    detached: true,
  });
}

function watchChild(
  child: ChildProcess,
  program: string,
  folder: WorkFolder,
  killsBefore: number | undefined,
  launch: Launch,
): LaunchOutcome {
  const { pid } = child;
  let failure: Error | undefined;
  // Node reports a failed start in a later turn; the missing process id tells it in this one.
  child.once("error", (error) => {
    failure = error;
  });
  if (pid === undefined) {
    folder.remove();
    return { kind: "failed", message: startProblem(program, failure) };
  }
  const control = launch.leader === undefined ? undefined : (child.stdio[4] as Duplex);
  const told = control === undefined ? undefined : hearLeader(control, launch.onStarted);
  // With a leader its last word is waited for too, which the closing of its socket follows.
  child.once(control === undefined ? "exit" : "close", (code, signal) => {
    folder.remove();
    const problem = told?.errno;
    if (problem !== undefined) {
      launch.onFailed(startProblem(program, errorOf(problem)));
      return;
    }
    const outOfMemory = signal === "SIGKILL" && (readOutOfMemoryKills() ?? 0) > (killsBefore ?? 0);
    launch.onExit({ code: code ?? undefined, signal: signal ?? undefined, outOfMemory });
  });
  const stop =
    control === undefined
      ? undefined
      : (graceMs: number) => void control.write(`${Math.max(0, Math.round(graceMs))}\n`);
  return { kind: "launched", work: { pid, stop } };
}

/** Follows what a leader says; the errno of a start that failed stays in what is given back. */
function hearLeader(control: Duplex, onStarted: (pid: number) => void) {
  const told: { errno: number | undefined } = { errno: undefined };
  let text = "";
  control.on("data", (piece: Buffer) => {
    const lines = (text + piece.toString("latin1")).split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) {
      const says = parseLeaderLine(line);
      if (says?.kind === "failed") told.errno = says.errno;
      else if (says?.kind === "started" && told.errno === undefined) onStarted(says.pid);
    }
  });
  // It has ended: its exit follows.
  control.on("error", () => undefined);
  return told;
}

function errorOf(errno: number): NodeJS.ErrnoException {
  return Object.assign(new Error("the system refused"), { code: getSystemErrorName(-errno) });
}

interface WorkFolder {
  readonly path: string;
  readonly remove: () => void;
}

/** The folder that the task names, or a fresh one that goes with the attempt. */
function openFolder(cwd: string | undefined, cookie: AttemptCookie): WorkFolder {
  if (cwd !== undefined && cwd !== "") return { path: cwd, remove: () => {} };
  const path = mkdtempSync(join(tmpdir(), `remex-${cookie.task.slice(0, 12)}-`));
  return {
    path,
    remove: () => {
      try {
        rmSync(path, { recursive: true, force: true });
      } catch {
        // A process that left the attempt still writes there; the system's own cleaning removes it.
      }
    },
  };
}

/** Says what is wrong with a program or folder before it is tried, in better words than an errno. */
function programProblem(
  program: string,
  path: string,
  cwd: string | undefined,
): string | undefined {
  if (cwd !== undefined && cwd !== "") {
    const folder = statSync(cwd, { throwIfNoEntry: false });
    if (folder === undefined) return `the working directory ${cwd} does not exist on the agent`;
    if (!folder.isDirectory()) return `the working directory ${cwd} is not a directory`;
  }
  if (program.includes("/")) return isAbsolute(program) ? fileProblem(program) : undefined;
  const found = path.split(delimiter).some((folder) => isExecutable(join(folder, program)));
  return found ? undefined : `the program ${program} was not found in the agent's PATH (${path})`;
}

function fileProblem(program: string): string | undefined {
  if (statSync(program, { throwIfNoEntry: false }) === undefined) {
    return `the program ${program} does not exist on the agent`;
  }
  return isExecutable(program) ? undefined : `the program ${program} is not executable`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Not there or not executable; the caller says which of the two.
    return false;
  }
}

function startProblem(program: string, error: Error | undefined): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  switch (code) {
    case "EAGAIN":
      return `the program ${program} could not be started: the agent's host has no processes left`;
    case "E2BIG":
      return `the program ${program} could not be started: arguments and environment are too large`;
    case undefined:
      return `the program ${program} could not be started; check that it exists and is executable`;
    default:
      return `the program ${program} could not be started (${code})`;
  }
}
