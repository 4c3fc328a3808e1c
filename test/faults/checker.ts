// SPDX-License-Identifier: Apache-2.0
// Judges a history by I1-I4, I7 and I14. It shares no code with the product and asks nobody: lines in, verdicts out.

import type { ChangeLine, FinalTask, History, JournalLine } from "./history.ts";

export interface Violation {
  readonly invariant: "I1" | "I2" | "I3" | "I4" | "I7" | "I14";
  readonly task: string;
  readonly what: string;
}

export interface Judgement {
  readonly violations: readonly Violation[];
  readonly figures: {
    readonly tasks: number;
    readonly lost: number;
    readonly attemptsStartedTwice: number;
    readonly resultsTakenTwice: number;
    readonly staleResultsRefused: number;
    readonly attemptsStarted: number;
    readonly succeeded: number;
    readonly failed: number;
    /** Copies that ran at once though section 6 allows it (CONTINUE, given up before the other began). */
    readonly allowedOverlaps: number;
  };
}

export interface CheckOptions {
  /** ABORT promises one running copy; CONTINUE allows an older one that was given up. */
  readonly onCut: "CONTINUE" | "ABORT";
  /** How far apart two clocks' readings of one host may be, and a line of a journal may be late. */
  readonly slackMs: number;
}

const ended: ReadonlySet<string> = new Set(["SUCCEEDED", "FAILED", "CANCELED"]);

export interface Run {
  readonly attempt: string;
  readonly startedAtMs: number;
  readonly lastSeenAtMs: number;
  readonly starts: number;
  readonly pids: ReadonlySet<number>;
  readonly finished: boolean;
}

export function judge(history: History, options: CheckOptions): Judgement {
  const journals = groupBy(history.journal, ({ task }) => task);
  const changes = groupBy(history.changes, ({ task }) => task);
  const finals = new Map(history.final.map((each) => [each.task, each]));
  const violations: Violation[] = [];
  const figures = {
    tasks: history.submitted.length,
    lost: 0,
    attemptsStartedTwice: 0,
    resultsTakenTwice: 0,
    staleResultsRefused: 0,
    attemptsStarted: 0,
    succeeded: 0,
    failed: 0,
    allowedOverlaps: 0,
  };
  for (const task of new Set([...history.submitted, ...journals.keys()])) {
    const runs = runsOf(journals.get(task) ?? []);
    const told = changes.get(task) ?? [];
    const final = finals.get(task);
    figures.attemptsStarted += runs.length;
    if (final?.state === "SUCCEEDED") figures.succeeded += 1;
    if (final?.state === "FAILED") figures.failed += 1;
    figures.staleResultsRefused += final?.staleReports ?? 0;
    const note = (invariant: Violation["invariant"], what: string): void => {
      violations.push({ invariant, task, what });
    };
    for (const run of runs) {
      if (run.starts > 1 || run.pids.size > 1) {
        figures.attemptsStartedTwice += 1;
        note("I1", `attempt ${run.attempt} started ${run.starts} times`);
      }
      const late = startedAfterGivenUp(run, told, options.slackMs);
      if (late !== undefined) note("I2", late);
    }
    const overlaps = overlapsOf(runs, told, options);
    figures.allowedOverlaps += overlaps.allowed;
    for (const what of overlaps.forbidden) note("I3", what);
    const results = resultProblems(told, runs, final);
    figures.resultsTakenTwice += results.twice;
    for (const what of results.wrong) note("I4", what);
    for (const what of changesAfterTheEnd(told)) note("I7", what);
    if (history.submitted.includes(task) && (final === undefined || !ended.has(final.state))) {
      figures.lost += 1;
      note("I14", `the task is ${final?.state ?? "gone"} after everything was healed`);
    }
  }
  return { violations, figures };
}

export function runsOf(lines: readonly JournalLine[]): Run[] {
  return [...groupBy(lines, ({ attempt }) => attempt)].map(([attempt, own]) => ({
    attempt,
    startedAtMs: Math.min(...own.map(({ atMs }) => atMs)),
    lastSeenAtMs: Math.max(...own.map(({ atMs }) => atMs)),
    starts: own.filter(({ event }) => event === "start").length,
    pids: new Set(own.map(({ pid }) => pid)),
    finished: own.some(({ event }) => event === "end"),
  }));
}

/** When the control plane first said that an attempt is no more: the task queued again, or ended without it. */
function givenUpAt(attempt: string, told: readonly ChangeLine[]): number | undefined {
  return told.find(
    (change) =>
      change.attempt === attempt &&
      (change.state === "QUEUED" || (ended.has(change.state) && change.outcome === "")),
  )?.atMs;
}

function startedAfterGivenUp(
  run: Run,
  told: readonly ChangeLine[],
  slackMs: number,
): string | undefined {
  const atMs = givenUpAt(run.attempt, told);
  if (atMs === undefined || run.startedAtMs <= atMs + slackMs) return undefined;
  const late = Math.round(run.startedAtMs - atMs);
  return `attempt ${run.attempt} started ${late} ms after it had been given up`;
}

function overlapsOf(
  runs: readonly Run[],
  told: readonly ChangeLine[],
  { onCut, slackMs }: CheckOptions,
): { allowed: number; forbidden: string[] } {
  const inOrder = [...runs].sort((a, b) => a.startedAtMs - b.startedAtMs);
  const forbidden: string[] = [];
  let allowed = 0;
  for (const [at, older] of inOrder.entries()) {
    for (const newer of inOrder.slice(at + 1)) {
      if (older.lastSeenAtMs <= newer.startedAtMs + slackMs) continue;
      const gaveUpAtMs = givenUpAt(older.attempt, told);
      const known = gaveUpAtMs !== undefined && gaveUpAtMs <= newer.startedAtMs + slackMs;
      if (onCut === "CONTINUE" && known) allowed += 1;
      else forbidden.push(`attempts ${older.attempt} and ${newer.attempt} ran at once`);
    }
  }
  return { allowed, forbidden };
}

function resultProblems(
  told: readonly ChangeLine[],
  runs: readonly Run[],
  final: FinalTask | undefined,
): { twice: number; wrong: string[] } {
  const taken = told.filter(({ state, outcome }) => ended.has(state) && outcome !== "");
  const wrong: string[] = [];
  const different = new Set(taken.map(({ attempt, outcome }) => `${attempt} ${outcome}`));
  if (different.size > 1)
    wrong.push(`more than one result was taken: ${[...different].join(", ")}`);
  if (final?.state === "SUCCEEDED") {
    const run = runs.find(({ attempt }) => attempt === final.attempt);
    if (run === undefined) wrong.push(`attempt ${final.attempt} succeeded and never started`);
    else if (!run.finished) wrong.push(`attempt ${final.attempt} succeeded and never finished`);
  }
  return { twice: different.size > 1 ? 1 : 0, wrong };
}

function changesAfterTheEnd(told: readonly ChangeLine[]): string[] {
  const first = told.findIndex(({ state }) => ended.has(state));
  if (first < 0) return [];
  const end = told[first];
  return told
    .slice(first + 1)
    .filter(({ state, attempt }) => state !== end?.state || attempt !== end?.attempt)
    .map(({ state, attempt }) => `it became ${state} by ${attempt} after it was ${end?.state}`);
}

function groupBy<Item>(items: readonly Item[], key: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group === undefined) groups.set(key(item), [item]);
    else group.push(item);
  }
  return groups;
}
