// SPDX-License-Identifier: Apache-2.0
// Reads how often the kernel ended a process of our control group for want of memory.

import { readFileSync } from "node:fs";

/** Files that count it: version 2 of control groups, then version 1 as containers see it. */
const sources: readonly { readonly path: string; readonly pattern: RegExp }[] = [
  { path: "/sys/fs/cgroup/memory.events", pattern: /^oom_kill (\d+)$/m },
  { path: "/sys/fs/cgroup/memory/memory.oom_control", pattern: /^oom_kill (\d+)$/m },
];

/** The count; undefined where the kernel does not show it. */
export function readOutOfMemoryKills(): number | undefined {
  for (const { path, pattern } of sources) {
    const count = countIn(path, pattern);
    if (count !== undefined) return count;
  }
  return undefined;
}

function countIn(path: string, pattern: RegExp): number | undefined {
  try {
    const match = pattern.exec(readFileSync(path, "latin1"));
    return match === null ? undefined : Number(match[1]);
  } catch {
    // Another version of control groups, or none: the next source is tried.
    return undefined;
  }
}
