// SPDX-License-Identifier: Apache-2.0
import { createSilentLogger } from "@remex/runtime";
import type { Brake } from "@remex/store";
import { describe, expect, it } from "vitest";
import { createBrakeAlarm } from "./brake-alarm.ts";

const brake = (scope: string, suspects: number): Brake => ({
  ...{ scope, suspects, engagedAtMs: 0, base: 10, budget: 1, members: 9, ended: 0 },
  ...{ extraMs: 0, released: false },
});

function start() {
  const lines: string[] = [];
  const suspects: number[] = [];
  const log = {
    ...createSilentLogger(),
    error: (facts: { scope: string }) => lines.push(`held ${facts.scope}`),
    warn: (facts: { scope: string }) => lines.push(`free ${facts.scope}`),
  };
  const alarm = createBrakeAlarm(log as never, (_deployment, count) => suspects.push(count));
  return { lines, suspects, alarm };
}

describe("the alarm of the brake", () => {
  it("PROTOCOL-L4: is raised once per brake, counted while it holds, and taken back", () => {
    const { lines, suspects, alarm } = start();
    alarm.seen("dep", []);
    alarm.seen("dep", [brake("*", 9)]);
    alarm.seen("dep", [brake("*", 8), brake("r", 3)]);
    alarm.seen("dep", [brake("r", 2)]);
    alarm.seen("dep", []);
    alarm.seen("dep", []);
    expect(lines).toEqual(["held *", "held r", "free *", "free r"]);
    expect(suspects).toEqual([9, 11, 2, 0]);
  });
});
