// SPDX-License-Identifier: Apache-2.0
// CPU time and memory of process trees, read from /proc: every process of a side counts, Redis and producer too.

import { readdirSync, readFileSync } from "node:fs";

const tickMs = 10;
const pageBytes = 4096;

interface ProcessFacts {
  readonly parent: number;
  /** Own time and that of ended children, in ms. */
  readonly cpuMs: number;
  readonly rssBytes: number;
}

function readProcess(pid: number): ProcessFacts | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may hold spaces; the fields after it do not.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const ticks = [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0);
    const rssBytes = Number(fields[21]) * pageBytes;
    return { parent: Number(fields[1]), cpuMs: ticks * tickMs, rssBytes };
  } catch {
    // It has ended meanwhile; its time is in its parent's.
    return undefined;
  }
}

/** The processes with these ids and all that they started. */
export function processTree(roots: readonly number[]): ReadonlyMap<number, ProcessFacts> {
  const all = new Map<number, ProcessFacts>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    const facts = Number.isInteger(pid) ? readProcess(pid) : undefined;
    if (facts !== undefined) all.set(pid, facts);
  }
  const tree = new Map<number, ProcessFacts>();
  const belongs = (pid: number): boolean => {
    const facts = all.get(pid);
    return (
      roots.includes(pid) || (facts !== undefined && facts.parent > 1 && belongs(facts.parent))
    );
  };
  for (const [pid, facts] of all) if (belongs(pid)) tree.set(pid, facts);
  return tree;
}

/** CPU time of the trees so far, in ms. */
export function cpuMs(roots: readonly number[]): number {
  let sum = 0;
  for (const facts of processTree(roots).values()) sum += facts.cpuMs;
  return sum;
}
