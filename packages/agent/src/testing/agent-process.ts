// SPDX-License-Identifier: Apache-2.0
// Starts a real agent or runner process for a test and cleans up after it, whatever happened.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export interface TestProcess {
  readonly child: ChildProcess;
  /** What it has written so far. */
  readonly output: () => string;
  /** Settles with the exit code, or the name of the signal. */
  readonly ended: Promise<number | string>;
}

const agentMain = fileURLToPath(new URL("../main.ts", import.meta.url));
export const runnerMain = fileURLToPath(new URL("../runner/main.ts", import.meta.url));

/** A folder that goes with the test. */
export function temporaryFolder(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "remex-test-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export function startAgent(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): TestProcess {
  return start(agentMain, args, env);
}

export function startRunner(
  stateDir: string,
  env: Readonly<Record<string, string>> = {},
  args: readonly string[] = [],
): TestProcess {
  return start(runnerMain, ["--state-dir", stateDir, ...args], env);
}

function start(
  main: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): TestProcess {
  const child = spawn(process.execPath, [main, ...args], {
    // biome-ignore lint/style/noProcessEnv: a process of a test runs in the test's own environment
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let text = "";
  child.stdout?.on("data", (piece: Buffer) => {
    text += piece.toString("utf8");
  });
  child.stderr?.on("data", (piece: Buffer) => {
    text += piece.toString("utf8");
  });
  const ended = new Promise<number | string>((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? signal ?? "unknown"));
  });
  return { child, output: () => text, ended };
}

/** Ends a process that a test has left running. */
export async function endProcess(started: TestProcess | undefined): Promise<void> {
  if (started === undefined) return;
  if (started.child.exitCode === null && started.child.signalCode === null) {
    started.child.kill("SIGKILL");
  }
  await started.ended;
}
