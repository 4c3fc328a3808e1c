// SPDX-License-Identifier: Apache-2.0
// Full-jitter backoff that forgets its failures only after a connection has held for a while.

/** A source of numbers from 0 (included) to 1 (not included); Math.random outside of tests. */
export type Random = () => number;

export interface BackoffOptions {
  /** Upper bound of the first wait. */
  readonly baseMs: number;
  /** Upper bound of every wait. */
  readonly maxMs: number;
  readonly random?: Random;
}

export interface Backoff {
  /** How long to wait before the next try: evenly between 0 and a bound that doubles each time. */
  nextMs(): number;
  /** Forgets the failures: call it when a connection has held, not when it was made. */
  reset(): void;
  /** Tries since the last reset. */
  readonly tries: number;
}

export function createBackoff(options: BackoffOptions): Backoff {
  const random = options.random ?? Math.random;
  let tries = 0;
  return {
    nextMs() {
      // 2^30 times any base is beyond any bound: the exponent is kept where it is exact.
      const bound = Math.min(options.maxMs, options.baseMs * 2 ** Math.min(tries, 30));
      tries += 1;
      return Math.floor(random() * bound);
    },
    reset() {
      tries = 0;
    },
    get tries() {
      return tries;
    },
  };
}
