// SPDX-License-Identifier: Apache-2.0
// Time as the rest of Remex sees it: one local clock that also counts suspend, and timers, injectable.

import { readFileSync } from "node:fs";

/** Cancels a timer; calling it again, or after the timer fired, does nothing. */
export type CancelTimer = () => void;

/** A source of time. Everything that waits or judges an age takes one, so that tests need no sleep. */
export interface Clock {
  /**
   * Milliseconds since an arbitrary start, never going back. Process pause and machine suspend count
   * as elapsed (PROTOCOL T3). Never compare it with another machine's.
   */
  nowMs(): number;
  /** Wall time in ms since 1970: for display, and for the expiry of credentials. */
  wallMs(): number;
  /** Calls `fire` once after `delayMs`. The timer does not keep the process alive. */
  after(delayMs: number, fire: () => void): CancelTimer;
  /** Calls `fire` every `periodMs` until cancelled. The timer does not keep the process alive. */
  every(periodMs: number, fire: () => void): CancelTimer;
}

/** Waits on the clock. An aborted signal rejects with its reason. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}

/** Where the system clock reads from; tests give their own. */
export interface TimeSources {
  /** Monotonic ms; on Linux it stands still while the machine is suspended. */
  monotonicMs(): number;
  /** Wall time in ms. */
  wallMs(): number;
  /** Time since boot in ms, suspend included; undefined where the system does not tell. */
  bootMs(): number | undefined;
}

/**
 * A reading that runs ahead of the monotonic one by more than this at once is a suspend or a set clock.
 * /proc/uptime has a resolution of 10 ms; what a clock is slewed by is within the 5 % of PROTOCOL T4.
 */
const jumpMs = 50;

/** /proc/uptime is a file: it is read at most this often, and at once when the wall clock jumped. */
const bootReadEveryMs = 100;

/** Builds the `nowMs` of PROTOCOL T3: monotonic time plus every forward jump that another clock saw. */
export function createElapsedTime(sources: TimeSources): () => number {
  const monotonicStart = sources.monotonicMs();
  let lastBootReadAt = monotonicStart;
  let wallGap = sources.wallMs() - monotonicStart;
  let bootGap = gapOf(sources.bootMs(), monotonicStart);
  let skippedMs = 0;
  let latest = 0;
  return () => {
    const monotonic = sources.monotonicMs();
    const newWallGap = sources.wallMs() - monotonic;
    const wallJump = newWallGap - wallGap;
    wallGap = newWallGap;
    let bootJump = 0;
    if (Math.abs(wallJump) > jumpMs || monotonic - lastBootReadAt >= bootReadEveryMs) {
      const newBootGap = gapOf(sources.bootMs(), monotonic);
      if (newBootGap !== undefined && bootGap !== undefined) bootJump = newBootGap - bootGap;
      bootGap = newBootGap;
      lastBootReadAt = monotonic;
    }
    const jump = Math.max(wallJump, bootJump);
    if (jump > jumpMs) skippedMs += jump;
    latest = Math.max(latest, monotonic - monotonicStart + skippedMs);
    return latest;
  };
}

function gapOf(bootMs: number | undefined, monotonicMs: number): number | undefined {
  return bootMs === undefined ? undefined : bootMs - monotonicMs;
}

function readUptimeMs(): number | undefined {
  try {
    const seconds = Number.parseFloat(readFileSync("/proc/uptime", "latin1"));
    return Number.isFinite(seconds) ? seconds * 1000 : undefined;
  } catch {
    // Not Linux, or /proc is hidden: the wall clock alone shows a suspend then.
    return undefined;
  }
}

/** The clock of a real process. */
export function createSystemClock(): Clock {
  const nowMs = createElapsedTime({
    monotonicMs: () => performance.now(),
    wallMs: () => Date.now(),
    bootMs: readUptimeMs,
  });
  return {
    nowMs,
    wallMs: () => Date.now(),
    after(delayMs, fire) {
      const timer = setTimeout(fire, Math.max(0, delayMs));
      timer.unref();
      return () => clearTimeout(timer);
    },
    every(periodMs, fire) {
      const timer = setInterval(fire, periodMs);
      timer.unref();
      return () => clearInterval(timer);
    },
  };
}
