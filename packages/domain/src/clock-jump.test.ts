// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { clockJumpMs } from "./clock-jump.ts";

const reading = (storeMs: number, sentAtMs: number, answeredAtMs = sentAtMs) => ({
  storeMs,
  sentAtMs,
  answeredAtMs,
});

describe("jumps of the store's clock", () => {
  const cases: [string, number, number, number][] = [
    ["agree", 10_250, 250, 0],
    ["went ahead by less than an interval", 20_250, 250, 0],
    ["went ahead by more than an interval", 20_251, 250, 10_001],
    ["set back by less than an interval", 250, 250, 0],
    ["set back by more than an interval", 249, 250, -10_001],
  ];
  it.each(cases)("PROTOCOL-T2: %s", (_name, storeMs, atMs, jump) => {
    expect(clockJumpMs(reading(10_000, 0), reading(storeMs, atMs), 10_000)).toBe(jump);
  });

  it("PROTOCOL-T2: an answer that took long is no jump, since the time was read at any moment of it", () => {
    const slow = reading(40_000, 250, 30_000);
    expect(clockJumpMs(reading(10_000, 0), slow, 10_000)).toBe(0);
    expect(clockJumpMs(slow, reading(40_250, 30_250), 10_000)).toBe(0);
  });
});
