// SPDX-License-Identifier: Apache-2.0
// Proves that the checker finds each kind of damage when it is there, and nothing in a good history.

import { describe, expect, it } from "vitest";
import { judge } from "./checker.ts";
import type { ChangeLine, FinalTask, History, JournalLine } from "./history.ts";

const options = { onCut: "CONTINUE", slackMs: 50 } as const;

function line(attempt: string, event: JournalLine["event"], atMs: number, pid = 1): JournalLine {
  return { task: "t", attempt, event, pid, atMs };
}

function change(state: string, attempt: string, atMs: number, outcome = ""): ChangeLine {
  const rest = { stage: "", agent: "a", reason: "", heardAtMs: atMs };
  return { task: "t", state, attempt, atMs, outcome, ...rest };
}

function final(state: string, attempt: string): FinalTask {
  return { task: "t", state, attempt, outcome: state, staleReports: 0 };
}

const good: History = {
  submitted: ["t"],
  journal: [line("1.1", "start", 1_000), line("1.1", "tick", 1_500), line("1.1", "end", 2_000)],
  changes: [
    change("QUEUED", "", 900),
    change("ASSIGNED", "1.1", 950),
    change("SUCCEEDED", "1.1", 2_010, "SUCCEEDED"),
  ],
  final: [final("SUCCEEDED", "1.1")],
};

const found = (history: History, onCut: "CONTINUE" | "ABORT" = "CONTINUE") =>
  judge(history, { ...options, onCut }).violations.map(({ invariant }) => invariant);

describe("the history checker", () => {
  it("finds nothing in the history of a good task", () => {
    expect(found(good)).toEqual([]);
  });

  it("I1: finds an attempt that started twice", () => {
    const journal = [...good.journal, line("1.1", "start", 1_100, 2)];
    expect(found({ ...good, journal })).toEqual(["I1"]);
  });

  it("I2: finds a start of what had been given up", () => {
    const changes = [change("QUEUED", "1.1", 500), ...good.changes.slice(2)];
    expect(found({ ...good, changes })).toEqual(["I2"]);
  });

  it("I3: finds two copies at once, and lets a known zombie pass under CONTINUE alone", () => {
    const journal = [
      line("1.1", "start", 1_000),
      line("1.1", "tick", 5_000),
      ...[line("1.2", "start", 3_000, 2), line("1.2", "end", 4_000, 2)],
    ];
    const end = change("SUCCEEDED", "1.2", 4_010, "SUCCEEDED");
    const known = [change("QUEUED", "1.1", 2_500), change("ASSIGNED", "1.2", 2_900), end];
    const history = { ...good, journal, changes: known, final: [final("SUCCEEDED", "1.2")] };
    expect(found(history)).toEqual([]);
    expect(judge(history, options).figures.allowedOverlaps).toBe(1);
    expect(found(history, "ABORT")).toEqual(["I3"]);
    expect(found({ ...history, changes: [end] })).toEqual(["I3"]);
  });

  it("I4: finds two results, and a success of what never started or finished", () => {
    const twice = [...good.changes, change("SUCCEEDED", "1.2", 3_000, "FAILED")];
    expect(found({ ...good, changes: twice })).toContain("I4");
    expect(found({ ...good, journal: [] })).toEqual(["I4"]);
    expect(found({ ...good, journal: good.journal.slice(0, 2) })).toEqual(["I4"]);
  });

  it("I7: finds a change after the end", () => {
    const changes = [...good.changes, change("QUEUED", "1.1", 3_000)];
    expect(found({ ...good, changes })).toContain("I7");
  });

  it("I14: finds a task that never ended, and one that is gone", () => {
    expect(found({ ...good, final: [final("ASSIGNED", "1.1")] })).toEqual(["I14"]);
    const gone = judge({ ...good, final: [] }, options);
    expect(gone.violations.map(({ invariant }) => invariant)).toEqual(["I14"]);
    expect(gone.figures.lost).toBe(1);
  });
});
