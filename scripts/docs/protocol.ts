// SPDX-License-Identifier: Apache-2.0
// Makes docs/protocol.md: each rule of the lease protocol, the code that keeps it, and the tests that fail without it.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
export const pageFile = path.join(root, "docs", "protocol.md");

/** The rules, in a few words each; the numbers stand for good. */
export const rules: Readonly<Record<string, string>> = {
  T1: "no decision uses an instant made on another machine",
  T2: "the control plane judges ages by Redis TIME; a jump of it freezes them",
  T3: "the agent's lease counts from when the acknowledged beat was sent, by a clock that pauses cannot stop",
  T4: "intervals that cannot work are refused; a change of the interval has a version",
  T5: "beats do not share a loop with work; a stalled loop is reported",
  T6: "a restarted agent takes its own place over; a stranger under its name gets no work",
  T7: "the store has an epoch from its first day",
  S1: "an offer names task, attempt, session and time to live; only the highest attempt counts",
  S2: "an accept reserves slots and remembers when it was sent",
  S3: "a confirm needs a current offer, an open session and a valid lease, and is stored before it is sent",
  S4: "a start needs the un-started accept, the window and the lease; the guard checks again",
  S5: "out of the window the attempt is declined and queued again",
  S6: "inventories are compared, and each attempt answered KEEP, KILL or REPORT",
  S7: "what an inventory lacks was never started, or is lost",
  S8: "slots are counted in the store",
  S9: "a lane keeps its order; what is queued again keeps its place",
  L1: "only the highest beat of a living session renews, and only a renewed lease is acknowledged",
  L2: "three missed beats fail an agent, in one atomic step",
  L3: "time in which an agent could not be heard does not age it",
  L4: "a fleet that falls silent at once is held back, then ended slowly",
  L5: "an agent comes back by itself, and a registry without monitors sends its agents away",
  L6: "connects are admitted at a rate; who is turned away does not age",
  L7: "a session whose right has ended leaves OPEN within a second",
  L8: "a session that is ended by decision ends only on its word, or a limit after its last beat",
  H1: "work of a lost agent is held while lost_after runs, and re-bound when it returns",
  H2: "work that is given up is queued again or failed, as it says; retries and recoveries count apart",
  H3: "a new session gets no offers until every stop of old work is answered",
  G1: "a guard of its own stops the work; its lock falls only when nothing runs",
  G2: "a task can read its attempt",
  G3: "a triggerer without a lease emits nothing; events are there once",
  G4: "an agent that loses its guard starts nothing until a new one holds the lock",
  E1: "only calls of current attempts pass the tunnel, and in order after a cut",
  E2: "task heartbeats are answered locally during a cut under CONTINUE",
  C1: "an outcome is on disk before it is sent, until it is answered",
  C2: "a result is judged by task and attempt alone, and every report is answered",
  C3: "a stale report changes nothing but what is shown",
  C4: "a cancel is a wish until it is reported",
  C5: "what a long-lived piece of work sends carries its attempt",
  O1: "cordon: no new offers, what runs runs on; a record",
  O2: "drain: cordon, wait, then stop what is left at no cost in retries",
  O3: "delete: refused while work runs unless forced; a tombstone stays",
  D1: "what is acknowledged is on as many servers as was set",
  D2: "a failover or restore begins a new epoch, with a quarantine and adoption",
  D3: "what may be lost under which setting",
  D4: "no call is sent again by itself; a batch answers per item",
  D5: "an aggregate has one owner",
  D6: "records are SQL first, then projected by revision",
};

/** Rules that no single piece of code keeps, and why. */
const withoutCode: Readonly<Record<string, string>> = {
  D3: "a promise to users, kept by D1 and D2",
  D5: "the `Callers:` heads of the functions: [store-functions.md](store-functions.md)",
};

const testFile = /(\.test\.ts|(^|\/)test_[^/]+\.py)$/;
const codeFile = /^(packages|services)\/.*\.(ts|py|lua)$/;
const comment = /^\s*(\/\/|\/?\*|--|#|"""|\s\*)/;
const mostCode = 5;

function trackedFiles(): string[] {
  const listed = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { cwd: root });
  return String(listed).split("\n").filter(Boolean).sort();
}

// SEC-T1 is a rule of another list.
export const mark = (rule: string): RegExp => new RegExp(`(?<!SEC-)\\b${rule}\\b`, "g");

/** Code files by rule: those whose comments name it most come first. */
function codeByRule(files: readonly string[]): Map<string, string[]> {
  const counted = new Map<string, [string, number][]>();
  for (const file of files) {
    if (!codeFile.test(file) || testFile.test(file) || /test-kit|\/testing\/|fixture/.test(file))
      continue;
    const text = readFileSync(path.join(root, file), "utf8")
      .split("\n")
      .filter((line) => comment.test(line) || /\/\/ |-- /.test(line))
      .join("\n");
    for (const rule of Object.keys(rules)) {
      const times = text.match(mark(rule))?.length ?? 0;
      if (times > 0) counted.set(rule, [...(counted.get(rule) ?? []), [file, times]]);
    }
  }
  return new Map(
    [...counted].map(([rule, found]) => [
      rule,
      found
        .sort((a, b) => b[1] - a[1])
        .slice(0, mostCode)
        .map(([file]) => file)
        .sort(),
    ]),
  );
}

/** Test files by rule, from titles that carry `PROTOCOL-<rule>`. */
function testsByRule(files: readonly string[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const file of files.filter((name) => testFile.test(name))) {
    const text = readFileSync(path.join(root, file), "utf8");
    const marks = [...text.matchAll(/PROTOCOL[- ]((?:[A-Z]\d(?:[,/ ]+|$|\b))+)/g)];
    const named = new Set(marks.flatMap(([, list]) => list?.match(/[A-Z]\d/g) ?? []));
    for (const rule of named) found.set(rule, [...(found.get(rule) ?? []), file]);
  }
  return found;
}

export interface RuleRow {
  readonly rule: string;
  readonly code: readonly string[];
  readonly tests: readonly string[];
}

export function findRules(): RuleRow[] {
  const files = trackedFiles();
  const code = codeByRule(files);
  const tests = testsByRule(files);
  return Object.keys(rules).map((rule) => ({
    rule,
    code: code.get(rule) ?? [],
    tests: tests.get(rule) ?? [],
  }));
}

/** The rules that lack code or a test. */
export function gaps(rows: readonly RuleRow[]): string[] {
  return rows.flatMap(({ rule, code, tests }) => [
    ...(code.length === 0 && withoutCode[rule] === undefined ? [`${rule} has no code`] : []),
    ...(tests.length === 0 ? [`${rule} has no test`] : []),
  ]);
}

/** The page's text. */
export function renderPage(): string {
  const link = (file: string): string => `[${path.basename(file)}](../${file})`;
  const lines = [
    "# The rules of the lease protocol, the code that keeps them, and their tests",
    "",
    "Made by `pnpm docs:protocol` from the comments of the code and the titles of the tests; do not edit. Code: the",
    "files whose comments name the rule most. Tests: those whose titles carry its number; `pnpm vitest run FILE` or",
    "`pytest FILE` runs one. The rules are also taken out of the real code one by one under simulation",
    "(`pnpm simulate:mutants`), and the core of them is modelled (`docs/model/`).",
    "",
    "| rule | says | code | tests |",
    "|---|---|---|---|",
  ];
  for (const { rule, code, tests } of findRules()) {
    const kept = withoutCode[rule] ?? code.map(link).join("<br>");
    lines.push(`| ${rule} | ${rules[rule]} | ${kept} | ${tests.map(link).join("<br>")} |`);
  }
  return `${lines.join("\n")}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(pageFile, renderPage());
