// SPDX-License-Identifier: Apache-2.0
// Proves that a batch file is read as it is meant, and that its mistakes are named with their place.

import { describe, expect, test } from "vitest";
import { parseBatch } from "./batch-file.ts";
import { cutIntoCalls, submissionOf } from "./submission.ts";

test("a list, or a map with the list `tasks`, is read", () => {
  const list = "- command: [ls, -l]\n  labels: { zone: 1 }\n- noop: true";
  const tasks = [{ command: ["ls", "-l"], labels: { zone: "1" } }, { noop: true }];
  expect(parseBatch(list, "f")).toEqual(tasks);
  const map = `tasks:\n  ${list.replaceAll("\n", "\n  ")}`;
  expect(parseBatch(map, "f")).toEqual(tasks);
});

describe("a mistake", () => {
  test.each([
    ["", "f holds no tasks"],
    ["[]", "f holds no tasks"],
    ["a: 1", "f holds no tasks"],
    ["- [", "f is not valid YAML"],
    ["- command: ls -l", "f: task 1: command must be a list of words"],
    ["- command: []", "f: task 1: command must be a list of words"],
    ["- noop: yes please", "f: task 1: noop must be true or false"],
    ["- noop: true\n  Queue: a", "f: task 1: there is no field Queue"],
    ["- noop: true\n- noop: true\n  env: [A]", "f: task 2: env must be a map of texts"],
    ["- constructor: 1", "f: task 1: there is no field constructor"],
  ])("in %j", (text, message) => {
    expect(() => parseBatch(text, "f")).toThrow(message);
  });
});

test("values that the contract cannot hold are refused with the task's place", () => {
  const wish = { noop: true, priority: 2 ** 40 };
  expect(() => submissionOf(wish, "f: task 3", () => "k")).toThrow(/^f: task 3: /);
  expect(() => submissionOf({ noop: true, onLost: "wait" }, "f: task 1", () => "k")).toThrow(
    'f: task 1: on-lost "wait" is not one of requeue, fail',
  );
});

test("calls are cut by number and by size, in order", () => {
  const big = { command: ["x".repeat(1_000_000)] };
  const submissions = Array.from({ length: 8 }, (_, index) =>
    submissionOf(big, "", () => `key-${index}`),
  );
  const calls = cutIntoCalls(submissions);
  expect(calls.map((call) => call.length)).toEqual([3, 3, 2]);
  expect(calls.flat().map(({ idempotencyKey }) => idempotencyKey)).toEqual(
    submissions.map(({ idempotencyKey }) => idempotencyKey),
  );
});
