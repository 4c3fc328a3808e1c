// SPDX-License-Identifier: Apache-2.0
// A clock for tests: time moves only when the test says so, and timers fire in order.

import type { CancelTimer, Clock } from "./clock.ts";

interface FakeTimer {
  readonly id: number;
  dueMs: number;
  readonly periodMs: number | undefined;
  readonly fire: () => void;
}

/** A clock whose time the test moves. */
export interface FakeClock extends Clock {
  /**
   * Moves time forward, firing the timers that fall due on the way, each at its own instant, oldest
   * first. Between two timers, promises and immediates get to run.
   */
  advance(ms: number): Promise<void>;
  /** Moves the wall clock alone, as an administrator might. */
  shiftWall(ms: number): void;
  /** Timers that wait; a test that ends with some has forgotten to stop something. */
  pendingTimers(): number;
}

const defaultWallStartMs = 1_794_000_000_000;

export function createFakeClock(wallStartMs = defaultWallStartMs): FakeClock {
  let now = 0;
  let wallOffset = wallStartMs;
  let nextId = 1;
  const timers = new Map<number, FakeTimer>();

  function add(delayMs: number, periodMs: number | undefined, fire: () => void): CancelTimer {
    const id = nextId++;
    timers.set(id, { id, dueMs: now + Math.max(0, delayMs), periodMs, fire });
    return () => timers.delete(id);
  }

  function nextDue(untilMs: number): FakeTimer | undefined {
    let first: FakeTimer | undefined;
    for (const timer of timers.values()) {
      if (timer.dueMs <= untilMs && (first === undefined || timer.dueMs < first.dueMs)) {
        first = timer;
      }
    }
    return first;
  }

  return {
    nowMs: () => now,
    wallMs: () => wallOffset + now,
    after: (delayMs, fire) => add(delayMs, undefined, fire),
    every: (periodMs, fire) => add(periodMs, periodMs, fire),
    async advance(ms) {
      const until = now + ms;
      await settle();
      for (let timer = nextDue(until); timer !== undefined; timer = nextDue(until)) {
        now = Math.max(now, timer.dueMs);
        if (timer.periodMs === undefined) timers.delete(timer.id);
        else timer.dueMs = now + timer.periodMs;
        timer.fire();
        await settle();
      }
      now = until;
      await settle();
    },
    shiftWall(ms) {
      wallOffset += ms;
    },
    pendingTimers: () => timers.size,
  };
}

/** Lets promises and what they schedule with setImmediate run. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
