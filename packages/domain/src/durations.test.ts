// SPDX-License-Identifier: Apache-2.0
// Proves the arithmetic of PROTOCOL T4.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decideDurations, defaultDurationSettings } from "./durations.ts";

describe("PROTOCOL-T4: durations", () => {
  test("the defaults are H 10 s, SL 30 s, AL 20 s, W 15 s, stop 6 s", () => {
    expect(decideDurations(defaultDurationSettings)).toEqual({
      ok: true,
      value: {
        heartbeatMs: 10_000,
        serverLimitMs: 30_000,
        agentLeaseMs: 20_000,
        confirmWindowMs: 15_000,
        stopMs: 6_000,
      },
    });
  });

  test("the confirm window is never longer than the agent's lease", () => {
    const decided = decideDurations({ heartbeatMs: 5_000, stopMs: 1_000, windowMs: 15_000 });
    expect(decided.ok && decided.value.confirmWindowMs).toBe(10_000);
  });

  test("a stop time that reaches over the server's limit is refused, the arithmetic shown", () => {
    const decided = decideDurations({ heartbeatMs: 10_000, stopMs: 7_500, windowMs: 15_000 });
    expect(decided.ok || decided.failure.code).toBe("durations_impossible");
    expect(decided.ok || decided.failure.message).toBe(
      "the durations cannot work: agent lease 20000 ms * 1.05 + stop time 7500 ms = 28500 ms " +
        "must be less than server limit 30000 ms * 0.95 = 28500 ms; " +
        "with a heartbeat of 10000 ms the stop time may be at most 7499 ms",
    );
  });

  test.each([
    [{ heartbeatMs: 999, stopMs: 100, windowMs: 100 }, "between 1000 and 60000"],
    [{ heartbeatMs: 60_001, stopMs: 100, windowMs: 100 }, "between 1000 and 60000"],
    [{ heartbeatMs: 10_000, stopMs: 0, windowMs: 100 }, "must be more than 0"],
    [{ heartbeatMs: 10_000, stopMs: 100, windowMs: 0 }, "must be more than 0"],
    [{ heartbeatMs: 10_000.5, stopMs: 100, windowMs: 100 }, "whole number"],
    [{ heartbeatMs: Number.NaN, stopMs: 100, windowMs: 100 }, "whole number"],
  ])("%j is refused", (settings, words) => {
    const decided = decideDurations(settings);
    expect(decided.ok || decided.failure.message).toContain(words);
  });

  test("whatever is taken leaves the margin, and the stop time named as the most is taken", () => {
    const settings = fc.record({
      heartbeatMs: fc.integer({ min: 1_000, max: 60_000 }),
      stopMs: fc.integer({ min: 1, max: 60_000 }),
      windowMs: fc.integer({ min: 1, max: 60_000 }),
    });
    fc.assert(
      fc.property(settings, (given) => {
        const decided = decideDurations(given);
        if (decided.ok) {
          const { agentLeaseMs, stopMs, serverLimitMs, confirmWindowMs } = decided.value;
          expect(agentLeaseMs * 1.05 + stopMs).toBeLessThan(serverLimitMs * 0.95);
          expect(confirmWindowMs).toBeLessThanOrEqual(agentLeaseMs);
          return;
        }
        const most = Number(/at most (\d+) ms$/.exec(decided.failure.message)?.[1]);
        expect(decideDurations({ ...given, stopMs: most }).ok).toBe(true);
        expect(decideDurations({ ...given, stopMs: most + 1 }).ok).toBe(false);
      }),
    );
  });
});
