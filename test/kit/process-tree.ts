// SPDX-License-Identifier: Apache-2.0
// The processes below one, as the system lists them: what they are, what their environment holds, whether they have ended.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { waitFor } from "./wait.ts";

/** A process that runs. Its pid and its start together name it: a pid is given out again. */
export interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly startedAt: string;
  readonly args: string;
}

export interface Environment {
  readonly args: string;
  /** As the process was started with it: NAME=value, each followed by NUL. */
  readonly text: string;
}

/** Everything that runs on this machine, but what has ended and only waits to be collected. */
export function listProcesses(): Process[] {
  const columns = "pid=,ppid=,stat=,lstart=,args=";
  const ps = spawnSync("ps", ["-A", "-ww", "-o", columns], {
    env: { ...process.env, LC_ALL: "C" },
  });
  const line = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(\S+\s+\S+\s+\d+\s+[\d:]+\s+\d+)\s+(.*)$/;
  return ps.stdout
    .toString()
    .split("\n")
    .flatMap((text) => {
      const [, pid, parent, state, startedAt = "", args = ""] = line.exec(text) ?? [];
      if (state === undefined || state.startsWith("Z")) return [];
      return [{ pid: Number(pid), parent: Number(parent), startedAt, args }];
    });
}

/** The process itself, its children, theirs and so on; parents come first. */
export function below(pid: number, all: readonly Process[]): Process[] {
  const own = all.filter((each) => each.pid === pid);
  const children = all.filter((each) => each.parent === pid);
  return [...own, ...children.flatMap((child) => below(child.pid, all))];
}

/** Reads /proc, so this is for Linux alone. Processes that end meanwhile are left out. */
export function environmentsBelow(pid: number): Environment[] {
  return below(pid, listProcesses()).flatMap((each) => {
    try {
      return [{ args: each.args, text: readFileSync(`/proc/${each.pid}/environ`, "utf8") }];
    } catch {
      return [];
    }
  });
}

export async function untilGone(processes: readonly Process[]): Promise<void> {
  const named = new Set(processes.map(({ pid, startedAt }) => `${pid} ${startedAt}`));
  await waitFor(
    () => {
      const left = listProcesses().filter((each) => named.has(`${each.pid} ${each.startedAt}`));
      if (left.length === 0) return true;
      throw new Error(`still running: ${left.map(({ pid, args }) => `${pid} ${args}`).join("; ")}`);
    },
    { what: "the end of all processes" },
  );
}
