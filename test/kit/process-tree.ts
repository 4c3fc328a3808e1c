// SPDX-License-Identifier: Apache-2.0
// What the processes below one hold in their environment, and whether they have ended.

import { readFileSync } from "node:fs";
import { below, listProcesses, nameOf, type Process } from "../../scripts/start/processes.ts";
import { waitFor } from "./wait.ts";

export interface Environment {
  readonly args: string;
  /** As the process was started with it: NAME=value, each followed by NUL. */
  readonly text: string;
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
  const named = new Set(processes.map(nameOf));
  await waitFor(
    () => {
      const left = listProcesses().filter((each) => named.has(nameOf(each)));
      if (left.length === 0) return true;
      throw new Error(`still running: ${left.map(({ pid, args }) => `${pid} ${args}`).join("; ")}`);
    },
    { what: "the end of all processes" },
  );
}
