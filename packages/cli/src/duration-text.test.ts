// SPDX-License-Identifier: Apache-2.0
// Proves that durations are read as people write them and shown as people read them.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ageText,
  aheadText,
  durationText,
  lostAfterText,
  parseBytes,
  parseDurationMs,
  parseLostAfterMs,
} from "./duration-text.ts";

describe("parseDurationMs", () => {
  test.each([
    ["500ms", 500],
    ["10s", 10_000],
    ["1.5s", 1_500],
    ["5m", 300_000],
    ["1h30m", 5_400_000],
    ["24h", 86_400_000],
    ["30d", 2_592_000_000],
    ["0s", 0],
  ])("%s", (text, ms) => expect(parseDurationMs(text, "--x")).toBe(ms));

  test.each(["", "10", "s", "10 s", "-1s", "1w", "1s!", "1e3s", "ten"])("refuses '%s'", (text) => {
    expect(() => parseDurationMs(text, "--x")).toThrow(/^--x: .* is not a duration$/);
  });

  test("reads back every whole second that it shows", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000_000 }), (seconds) => {
        expect(parseDurationMs(durationText(seconds * 1_000), "--x")).toBe(seconds * 1_000);
      }),
    );
  });
});

test("PROTOCOL-H1: lost_after is a duration or never", () => {
  for (const text of ["0s", "5m", "never"]) {
    expect(lostAfterText(parseLostAfterMs(text, "--lost-after"))).toBe(text);
  }
  expect(() => parseLostAfterMs("ever", "--lost-after")).toThrow(/is not a duration/);
});

test.each([
  [0, "0s"],
  [999, "0s"],
  [12_900, "12s"],
  [3.9 * 60_000, "3m"],
  [2.5 * 3_600_000, "2h"],
  [100 * 86_400_000, "100d"],
])("an age of %i ms is %s", (ms, text) => expect(ageText(ms)).toBe(text));

test.each([
  [30 * 86_400_000 - 500, "30d"],
  [1.4 * 3_600_000, "1h"],
  [200, "0s"],
])("what is %i ms ahead is %s", (ms, text) => expect(aheadText(ms)).toBe(text));

test.each([
  ["262144", 262_144],
  ["256KiB", 262_144],
  ["1MiB", 1_048_576],
])("a size of %s", (text, bytes) => expect(parseBytes(text, "--x")).toBe(bytes));
