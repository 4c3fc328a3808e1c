// SPDX-License-Identifier: Apache-2.0
// What a run tells of its tasks, and when it counts as a success.

import { expect, test } from "vitest";
import {
  describeChange,
  type RunResult,
  succeeded,
  summaryText,
  type TaskLine,
} from "./summary.ts";

const line: TaskLine = {
  group: "g",
  task: "t",
  state: "success",
  agent: "agent-1",
  tries: 1,
  seconds: 1.234,
};

function resultOf(...states: readonly boolean[]): RunResult {
  const groups = states.map((good, index) => ({ group: `g${index}`, succeeded: good }));
  return { groups, tasks: [line, { ...line, agent: "", state: "skipped", seconds: undefined }] };
}

test("a run in which anything failed, or nothing ran, is no success", () => {
  expect(succeeded(resultOf(true, true))).toBe(true);
  expect(succeeded(resultOf(true, false))).toBe(false);
  expect(succeeded(resultOf())).toBe(false);
});

test("a change is told with state, agent, duration and try", () => {
  expect(describeChange(line)).toBe("g.t: success on agent-1 after 1.23 s");
  expect(describeChange({ ...line, tries: 2 })).toContain("success (try 2) on agent-1");
});

test("the summary counts what ran on agents and names what failed", () => {
  const text = summaryText(resultOf(true, false));
  expect(text).toContain("1 of 2 succeeded, 1 tasks ran on agents; not successful: g1");
  expect(text).toMatch(/g {4}t {5}skipped {2}- {8}1 {6}-/);
});
