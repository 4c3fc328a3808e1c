// SPDX-License-Identifier: Apache-2.0
// Proves the rules of labels and how they are matched.

import { describe, expect, test } from "vitest";
import { labelsFit, parseLabels } from "./labels.ts";

describe("parseLabels", () => {
  test.each([
    ["none", {}],
    ["plain ones", { zone: "eu-1", "example.com/gpu": "" }],
    ["long ones", { ["k".repeat(63)]: "v".repeat(63) }],
  ])("takes %s", (_, labels) => {
    expect(parseLabels(labels, 4).ok).toBe(true);
  });

  test.each([
    ["too many", { a: "1", b: "2", c: "3" }, "3 labels, at most 2"],
    ["an empty key", { "": "x" }, "a key is empty"],
    ["a long key", { ["ä".repeat(32)]: "x" }, "more than 63 bytes"],
    ["a long value", { a: "v".repeat(64) }, 'the value of "a"'],
    ["control characters", { a: "x\u0000" }, "control characters"],
  ])("refuses %s", (_, labels, words) => {
    const parsed = parseLabels(labels, 2);
    expect(parsed.ok || parsed.failure.message).toContain(words);
  });
});

describe("R2: labelsFit", () => {
  test.each([
    [{}, { zone: "eu" }, true],
    [{ zone: "eu" }, { zone: "eu", gpu: "1" }, true],
    [{ zone: "eu" }, { zone: "us" }, false],
    [{ zone: "eu" }, {}, false],
    [{ toString: "x" }, {}, false],
  ])("a task that requires %j on an agent with %j: %s", (required, agent, fits) => {
    expect(labelsFit(required, agent)).toBe(fits);
  });
});
