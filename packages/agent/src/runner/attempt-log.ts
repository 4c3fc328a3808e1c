// SPDX-License-Identifier: Apache-2.0
// Where the logs of attempts are: one file per attempt, in one folder per task.

import { mkdirSync, openSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { compareRefs, formatRef, type NumberedRef, parseRef } from "@remex/domain";

/** The file of an attempt's log. */
export function logPathOf(stateDir: string, task: string, attempt: NumberedRef): string {
  return join(stateDir, "logs", task, `${formatRef(attempt)}.log`);
}

/** Opens a log for appending; its folder is made when it is not there. */
export function openLog(path: string): number {
  try {
    return openSync(path, "a", 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    return openSync(path, "a", 0o600);
  }
}

/** The log of the newest attempt at a task that is still on disk; undefined when there is none. */
export function findNewestLog(stateDir: string, task: string): string | undefined {
  const folder = join(stateDir, "logs", task);
  let newest: NumberedRef | undefined;
  for (const name of listFolder(folder)) {
    const attempt = name.endsWith(".log") ? parseRef(name.slice(0, -".log".length)) : undefined;
    if (attempt !== undefined && (newest === undefined || compareRefs(attempt, newest) > 0)) {
      newest = attempt;
    }
  }
  return newest === undefined ? undefined : logPathOf(stateDir, task, newest);
}

/** Removes the logs of tasks whose folder was not touched for `olderThanMs`; gives how many. */
export function removeOldLogs(stateDir: string, wallMs: number, olderThanMs: number): number {
  let removed = 0;
  for (const task of listFolder(join(stateDir, "logs"))) {
    const folder = join(stateDir, "logs", task);
    if (wallMs - newestChange(folder) < olderThanMs) continue;
    rmSync(folder, { recursive: true, force: true });
    removed += 1;
  }
  return removed;
}

function newestChange(folder: string): number {
  let newest = statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  for (const name of listFolder(folder)) {
    newest = Math.max(
      newest,
      statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0,
    );
  }
  return newest;
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw error;
  }
}
