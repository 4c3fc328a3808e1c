// SPDX-License-Identifier: Apache-2.0
// Time and chance as this package uses them, in one object that a test can replace.

export interface Pacing {
  /** A clock that only goes forward. */
  nowMs(): number;
  /** Calls back once after `ms`; the returned function calls it off. */
  after(ms: number, action: () => void): () => void;
  /** From 0 (included) to 1 (not included). */
  random(): number;
}

export const realPacing: Pacing = {
  nowMs: () => performance.now(),
  after: (ms, action) => {
    const timer = setTimeout(action, ms);
    return () => clearTimeout(timer);
  },
  random: Math.random,
};

/** Resolves after `ms`, or as soon as the signal is aborted. */
export function pause(pacing: Pacing, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const done = () => {
      callOff();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const callOff = pacing.after(ms, done);
    signal?.addEventListener("abort", done, { once: true });
  });
}

/** Full jitter: evenly between 0 and a bound that doubles with every try, from `tries` = 1. */
export function jitteredMs(pacing: Pacing, tries: number, baseMs: number, maxMs: number): number {
  // 2^30 times any base is beyond any bound: the exponent is kept where it is exact.
  const bound = Math.min(maxMs, baseMs * 2 ** Math.min(tries - 1, 30));
  return Math.floor(pacing.random() * bound);
}
