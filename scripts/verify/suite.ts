// SPDX-License-Identifier: Apache-2.0
// One suite of a run: a program that is started, watched and counted.

import { spawn } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { say } from "../launch/progress.mjs";
import { rootDir, stateDir } from "../launch/toolchain.mjs";
import { type Tally, tallyExitCode } from "./tally.ts";

export interface Suite {
  readonly title: string;
  readonly run: () => Promise<Tally>;
}

const reportDir = path.join(stateDir, "reports");

/** Where a suite's report goes; an older report of the same name is gone afterwards. */
export function freshReport(name: string): string {
  mkdirSync(reportDir, { recursive: true });
  const file = path.join(reportDir, name);
  rmSync(file, { force: true });
  return file;
}

export interface ProgramSettings {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs a program with its output shown as it comes. */
export function runShown(
  command: string,
  args: readonly string[],
  settings: ProgramSettings = {},
): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: rootDir,
      ...settings,
      stdio: ["ignore", "inherit", "inherit"],
    });
    child.on("error", (error) => {
      say(`cannot start ${command}: ${error.message}`);
      resolve(1);
    });
    child.on("close", (code) => resolve(code ?? 1));
  });
}

/** A suite that is one program and counts as one check. */
export function check(
  title: string,
  command: string,
  args: readonly string[],
  settings?: ProgramSettings,
): Suite {
  return { title, run: async () => tallyExitCode(await runShown(command, args, settings)) };
}
