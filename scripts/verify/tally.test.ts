// SPDX-License-Identifier: Apache-2.0
// What a run counts must never look better than it was.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { addTallies, tallyExitCode, tallyLine, tallyPytest, tallyVitest } from "./tally.ts";

const dir = mkdtempSync(path.join(tmpdir(), "remex-tally-"));
afterAll(() => rmSync(dir, { recursive: true }));

function report(name: string, text: string): string {
  const file = path.join(dir, name);
  writeFileSync(file, text);
  return file;
}

test("a vitest report is read, todo counting as skipped", () => {
  const text =
    '{"numPassedTests":5,"numFailedTests":1,"numPendingTests":2,"numTodoTests":1,"testResults":[{"status":"failed","assertionResults":[{}]}]}';
  expect(tallyVitest(report("v.json", text), 1)).toEqual({ passed: 5, failed: 1, skipped: 3 });
});

test("a suite that ends badly without a failed test counts one failure", () => {
  const text =
    '{"numPassedTests":5,"numFailedTests":0,"numPendingTests":0,"numTodoTests":0,"testResults":[]}';
  expect(tallyVitest(report("c.json", text), 1).failed).toBe(1);
  expect(tallyVitest(path.join(dir, "absent.json"), 1).failed).toBe(1);
  expect(tallyPytest(path.join(dir, "absent.xml"), 2).failed).toBe(1);
});

test("each test file that does not load counts one failure", () => {
  const files = '{"status":"failed","assertionResults":[]}';
  const counts = '"numPassedTests":5,"numFailedTests":0,"numPendingTests":0,"numTodoTests":0';
  const text = `{${counts},"testResults":[${files},${files}]}`;
  expect(tallyVitest(report("u.json", text), 1).failed).toBe(2);
});

test("a pytest report is read, errors counting as failures", () => {
  const text =
    '<?xml version="1.0"?><testsuites name="x"><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="10" time="1">';
  expect(tallyPytest(report("p.xml", text), 1)).toEqual({ passed: 4, failed: 3, skipped: 3 });
});

test("the closing line is the sum over all suites", () => {
  expect(tallyLine(addTallies(tallyExitCode(0), tallyExitCode(1)))).toBe(
    "1 passed, 1 failed, 0 skipped",
  );
});
