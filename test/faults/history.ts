// SPDX-License-Identifier: Apache-2.0
// What was seen from outside: the tasks' own journals, and what the control plane said of the tasks.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** One line of a task's journal; `atMs` is wall time of the one host that everything runs on. */
export interface JournalLine {
  readonly task: string;
  readonly attempt: string;
  readonly event: "start" | "tick" | "end";
  readonly pid: number;
  readonly atMs: number;
}

/** One change of a task as the control plane told it to whoever watches. */
export interface ChangeLine {
  readonly task: string;
  readonly state: string;
  readonly attempt: string;
  readonly stage: string;
  readonly agent: string;
  readonly outcome: string;
  readonly reason: string;
  /** Wall time of the store. */
  readonly atMs: number;
  /** When it was heard here. */
  readonly heardAtMs: number;
}

/** A task as it stands at the end. */
export interface FinalTask {
  readonly task: string;
  readonly state: string;
  readonly attempt: string;
  readonly outcome: string;
  readonly staleReports: number;
}

export interface History {
  /** Ids of the tasks whose submission was acknowledged. */
  readonly submitted: readonly string[];
  readonly journal: readonly JournalLine[];
  readonly changes: readonly ChangeLine[];
  readonly final: readonly FinalTask[];
}

/** Reads all journals of a folder; a last line that was torn by a kill is left out. */
export function readJournals(folder: string): JournalLine[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".jsonl"))
    .flatMap((name) => readFileSync(join(folder, name), "utf8").split("\n"))
    .flatMap((line) => {
      try {
        return line === "" ? [] : [JSON.parse(line) as JournalLine];
      } catch {
        return [];
      }
    });
}
