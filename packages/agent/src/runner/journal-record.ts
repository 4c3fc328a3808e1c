// SPDX-License-Identifier: Apache-2.0
// The lines of the runner's journal, and how a file of them is read back.

import type { OutcomeJson } from "@remex/proto/common/v1";
import type { JournalEntryJson } from "@remex/proto/runner/v1";

/**
 * One line:
 * - `started`: the attempt is about to start (written before the start, not synced: after a crash of
 *   the machine nothing runs, and after one of the process the kernel still has it).
 * - `ended`: its outcome (synced before anybody hears of it, C1).
 * - `done`: both at once, for work without a process.
 * - `forgotten`: the control plane has answered; the attempt leaves the journal.
 */
export type JournalRecord =
  | { readonly record: "started"; readonly entry: JournalEntryJson }
  | { readonly record: "ended"; readonly name: AttemptNameJson; readonly outcome: OutcomeJson }
  | { readonly record: "done"; readonly entry: JournalEntryJson }
  | { readonly record: "forgotten"; readonly name: AttemptNameJson };

/** Names an attempt as the contract's JSON does. */
export interface AttemptNameJson {
  readonly task: string;
  readonly attempt: { readonly epoch: string; readonly number: string };
}

/** The key of an attempt within the journal and the runner. */
export function attemptKey(name: JournalEntryJson): string {
  return `${name.task}/${name.attempt?.epoch ?? "0"}.${name.attempt?.number ?? "0"}`;
}

/** Applies a record to the attempts that the journal holds. */
export function applyRecord(live: Map<string, JournalEntryJson>, record: JournalRecord): void {
  switch (record.record) {
    case "started":
    case "done":
      live.set(attemptKey(record.entry), record.entry);
      return;
    case "ended": {
      const key = attemptKey(record.name);
      live.set(key, { ...(live.get(key) ?? record.name), outcome: record.outcome });
      return;
    }
    case "forgotten":
      live.delete(attemptKey(record.name));
      return;
    default:
      record satisfies never;
  }
}

/** What a journal's text holds. */
export interface ReplayedJournal {
  readonly live: Map<string, JournalEntryJson>;
  /** True when the last line was cut short, which a kill in the middle of a write leaves. */
  readonly torn: boolean;
}

/**
 * Reads a whole journal. A last line that is cut short was never synced, so nobody has heard of it and
 * it is dropped; a broken line anywhere else means that the file was damaged, and is refused.
 */
export function replayJournal(text: string): ReplayedJournal {
  const live = new Map<string, JournalEntryJson>();
  const lines = text.split("\n");
  const last = lines.pop() ?? "";
  for (const [index, line] of lines.entries()) {
    if (line === "") continue;
    applyRecord(live, parseRecord(line, index + 1));
  }
  return { live, torn: last !== "" };
}

function parseRecord(line: string, number: number): JournalRecord {
  try {
    const record = JSON.parse(line) as JournalRecord;
    if (typeof record === "object" && record !== null && knownRecords.has(record.record)) {
      return record;
    }
  } catch (cause) {
    throw new Error(damaged(number), { cause });
  }
  throw new Error(damaged(number));
}

const knownRecords: ReadonlySet<string> = new Set(["started", "ended", "done", "forgotten"]);

function damaged(line: number): string {
  return (
    `line ${line} of the journal is damaged; the results of attempts may be in it: keep a copy of the ` +
    "file, then remove that line or the file and start again"
  );
}
