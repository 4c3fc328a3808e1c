// SPDX-License-Identifier: Apache-2.0
// Counts of passed, failed and skipped tests over all suites, and how each kind of report is read into them.

import { existsSync, readFileSync } from "node:fs";

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export const emptyTally: Tally = { passed: 0, failed: 0, skipped: 0 };
const onePassed: Tally = { passed: 1, failed: 0, skipped: 0 };
const oneFailed: Tally = { passed: 0, failed: 1, skipped: 0 };

export function addTallies(a: Tally, b: Tally): Tally {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
  };
}

/** A check without tests of its own counts as one. */
export function tallyExitCode(code: number): Tally {
  return code === 0 ? onePassed : oneFailed;
}

/** A suite that failed without any failed test (a file that does not load, a crash) still counts as a failure. */
function withExitCode(tally: Tally, code: number): Tally {
  return code !== 0 && tally.failed === 0 ? addTallies(tally, oneFailed) : tally;
}

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly unknown[];
  }[];
}

/** Reads vitest's JSON report. */
export function tallyVitest(reportFile: string, code: number): Tally {
  if (!existsSync(reportFile)) return withExitCode(emptyTally, code);
  const report = JSON.parse(readFileSync(reportFile, "utf8")) as VitestReport;
  const skipped = report.numPendingTests + report.numTodoTests;
  // A file that does not even load has no tests; each such file is a failure.
  const unloaded = report.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.length === 0,
  );
  const failed = report.numFailedTests + unloaded.length;
  return withExitCode({ passed: report.numPassedTests, failed, skipped }, code);
}

/** Reads the JUnit report that pytest writes. */
export function tallyPytest(reportFile: string, code: number): Tally {
  if (!existsSync(reportFile)) return withExitCode(emptyTally, code);
  const suite = /<testsuite [^>]*>/.exec(readFileSync(reportFile, "utf8"))?.[0] ?? "";
  const count = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(suite)?.[1] ?? 0);
  const failed = count("failures") + count("errors");
  const skipped = count("skipped");
  return withExitCode({ passed: count("tests") - failed - skipped, failed, skipped }, code);
}

/** The closing line, which continuous builds read. */
export function tallyLine(tally: Tally): string {
  return `${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`;
}
