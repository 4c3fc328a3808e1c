// SPDX-License-Identifier: Apache-2.0
// Proves that elapsed time counts suspend and pause, never goes back, and is not led astray by noise.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createElapsedTime, createSystemClock, sleep } from "./clock.ts";
import { createFakeClock } from "./fake-clock.ts";

function machine(withBoot: boolean) {
  const time = { monotonic: 1_000, wall: 1_794_000_000_000, boot: 50_000 };
  const nowMs = createElapsedTime({
    monotonicMs: () => time.monotonic,
    wallMs: () => time.wall,
    bootMs: () => (withBoot ? Math.floor(time.boot / 10) * 10 : undefined),
  });
  return {
    nowMs,
    run(ms: number) {
      time.monotonic += ms;
      time.wall += ms;
      time.boot += ms;
    },
    suspend(ms: number) {
      time.wall += ms;
      time.boot += ms;
    },
    setWall(ms: number) {
      time.wall += ms;
    },
  };
}

describe("PROTOCOL-T3: elapsed time", () => {
  test("is the monotonic time while nothing happens", () => {
    const { nowMs, run } = machine(true);
    expect(nowMs()).toBe(0);
    run(1_234);
    expect(nowMs()).toBe(1_234);
  });

  test.each([
    ["with a boot clock", true],
    ["without one", false],
  ])("counts a suspend, once, %s", (_, withBoot) => {
    const { nowMs, run, suspend } = machine(withBoot);
    run(1_000);
    nowMs();
    suspend(60_000);
    expect(nowMs()).toBe(61_000);
    run(1_000);
    expect(nowMs()).toBe(62_000);
  });

  test("counts a suspend whose wall time was set back, from the boot clock", () => {
    const { nowMs, run, suspend, setWall } = machine(true);
    nowMs();
    suspend(60_000);
    setWall(-30_000);
    run(100);
    expect(nowMs()).toBeGreaterThanOrEqual(60_090);
  });

  test("counts a wall clock that is set forward, and passes over one that is set back", () => {
    const { nowMs, run, setWall } = machine(true);
    run(10);
    setWall(5_000);
    expect(nowMs()).toBe(5_010);
    setWall(-3_600_000);
    run(10);
    expect(nowMs()).toBe(5_020);
  });

  test("never goes back and never runs behind the monotonic clock, whatever the others do", () => {
    const event = fc.oneof(
      fc.record({ kind: fc.constant("run" as const), ms: fc.nat(500) }),
      fc.record({ kind: fc.constant("suspend" as const), ms: fc.nat(100_000) }),
      fc.record({
        kind: fc.constant("setWall" as const),
        ms: fc.integer({ min: -100_000, max: 100_000 }),
      }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), fc.boolean(), (events, withBoot) => {
        const clock = machine(withBoot);
        let last = clock.nowMs();
        let ran = 0;
        for (const { kind, ms } of events) {
          clock[kind](ms);
          if (kind === "run") ran += ms;
          const now = clock.nowMs();
          expect(now).toBeGreaterThanOrEqual(last);
          expect(now).toBeGreaterThanOrEqual(ran);
          last = now;
        }
      }),
    );
  });

  test("the coarse steps of the boot clock do not add up", () => {
    const { nowMs, run } = machine(true);
    for (let step = 0; step < 20_000; step++) {
      run(1);
      nowMs();
    }
    expect(nowMs()).toBe(20_000);
  });

  test("the real clock goes forward and tells wall time", () => {
    const clock = createSystemClock();
    const first = clock.nowMs();
    expect(clock.nowMs()).toBeGreaterThanOrEqual(first);
    expect(Math.abs(clock.wallMs() - Date.now())).toBeLessThan(1_000);
  });
});

describe("the fake clock", () => {
  test("fires timers in order, each at its own instant, and those that they set", async () => {
    const clock = createFakeClock();
    const seen: string[] = [];
    const note = (name: string) => () => seen.push(`${name} ${clock.nowMs()}`);
    clock.after(30, note("c"));
    clock.after(10, () => {
      note("a")();
      clock.after(5, note("b"));
    });
    const stop = clock.every(20, note("tick"));
    await clock.advance(45);
    stop();
    await clock.advance(100);
    expect(seen).toEqual(["a 10", "b 15", "tick 20", "c 30", "tick 40"]);
    expect(clock.pendingTimers()).toBe(0);
  });

  test("sleep ends by the clock or by its signal", async () => {
    const clock = createFakeClock();
    const slept = sleep(clock, 1_000);
    await clock.advance(1_000);
    await slept;
    const abort = new AbortController();
    const cut = expect(sleep(clock, 1_000, abort.signal)).rejects.toThrow("stop");
    abort.abort(new Error("stop"));
    await cut;
    expect(clock.pendingTimers()).toBe(0);
  });
});
