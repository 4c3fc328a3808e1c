// SPDX-License-Identifier: Apache-2.0
// A real process started by a test: its output is kept, and it is ended by pid with its whole group.

import { type ChildProcess, spawn } from "node:child_process";
import { waitFor } from "./wait.ts";

const endWithinMs = 10_000;
/** Long enough for a machine that is busy with other things; a good run never waits so long. */
const outputWithinMs = 45_000;

export interface ProgramOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Written to standard input, which is then closed. */
  readonly input?: string;
}

export interface Program extends AsyncDisposable {
  readonly pid: number;
  /** Everything written to standard output and error so far. */
  output(): string;
  /** Resolves with the first match in the output. */
  waitForOutput(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  /** Resolves with the exit code, or with the signal's name. */
  readonly ended: Promise<number | NodeJS.Signals>;
  signal(signal: NodeJS.Signals): void;
  /** Asks the process group to end, then kills it. */
  stop(): Promise<void>;
}

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    // The whole group has ended already, which is what was wanted.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function endedOf(child: ChildProcess): Promise<number | NodeJS.Signals> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(signal ?? code ?? 1));
  });
}

export function startProgram(
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Program {
  const { input, ...rest } = options;
  const child = spawn(command, args, { ...rest, detached: true, stdio: ["pipe", "pipe", "pipe"] });
  // A program that ends without reading its input is not an error of ours.
  child.stdin.on("error", () => undefined);
  child.stdin.end(input ?? "");
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const ended = endedOf(child);
  ended.catch(() => undefined);
  const killAtExit = () => signalGroup(child, "SIGKILL");
  process.once("exit", killAtExit);

  const stop = async () => {
    const timer = setTimeout(() => signalGroup(child, "SIGKILL"), endWithinMs);
    if (child.exitCode === null && child.signalCode === null) signalGroup(child, "SIGTERM");
    await ended.catch(() => undefined);
    clearTimeout(timer);
    signalGroup(child, "SIGKILL");
    process.off("exit", killAtExit);
  };
  return {
    pid: child.pid ?? 0,
    output: () => text,
    waitForOutput: (pattern, timeoutMs = outputWithinMs) =>
      waitFor(
        () => {
          const match = pattern.exec(text);
          if (match !== null) return match;
          if (child.exitCode !== null) throw new Error(`${command} ended early:\n${text}`);
          return undefined;
        },
        { what: `output ${pattern} of ${command}`, timeoutMs },
      ),
    ended,
    signal: (signal) => signalGroup(child, signal),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
