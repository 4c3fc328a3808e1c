// SPDX-License-Identifier: Apache-2.0
// Which processes are under another one, read from /proc.

import { readdirSync, readFileSync } from "node:fs";

function statOf(pid: number): { parent: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    return { parent: Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1]) };
  } catch {
    return undefined;
  }
}

/** The process and all that descend from it. */
export function treeOf(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    const stat = Number.isInteger(pid) ? statOf(pid) : undefined;
    if (stat !== undefined) parents.set(pid, stat.parent);
  }
  const under = (pid: number | undefined): boolean =>
    pid !== undefined && pid > 1 && (pid === root || under(parents.get(pid)));
  return [...parents.keys()].filter(under);
}

export function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended already.
  }
}
