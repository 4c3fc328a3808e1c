// SPDX-License-Identifier: Apache-2.0
// The processes of this machine and who started whom, as the system lists them.

import { spawnSync } from "node:child_process";

/** A process that runs. Its pid and its start together name it: a pid is given out again. */
export interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Its process group, named by the pid of the process that made it. */
  readonly group: number;
  readonly startedAt: string;
  readonly args: string;
}

/** Everything that runs on this machine, but what has ended and only waits to be collected. */
export function listProcesses(): Process[] {
  const columns = "pid=,ppid=,pgid=,stat=,lstart=,args=";
  const ps = spawnSync("ps", ["-A", "-ww", "-o", columns], {
    env: { ...process.env, LC_ALL: "C" },
  });
  const line = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\S+\s+\S+\s+\d+\s+[\d:]+\s+\d+)\s+(.*)$/;
  return ps.stdout
    .toString()
    .split("\n")
    .flatMap((text) => {
      const [, pid, parent, group, state, startedAt = "", args = ""] = line.exec(text) ?? [];
      if (state === undefined || state.startsWith("Z")) return [];
      return [{ pid: Number(pid), parent: Number(parent), group: Number(group), startedAt, args }];
    });
}

/** The process itself, its children, theirs and so on; parents come first. */
export function below(pid: number, all: readonly Process[]): Process[] {
  const own = all.filter((each) => each.pid === pid);
  const children = all.filter((each) => each.parent === pid);
  return [...own, ...children.flatMap((child) => below(child.pid, all))];
}

/** By pid and start, so that processes of two lists can be compared. */
export function nameOf({ pid, startedAt }: Process): string {
  return `${pid} ${startedAt}`;
}
