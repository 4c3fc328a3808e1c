// SPDX-License-Identifier: Apache-2.0
// Chance that repeats: the same seed gives the same numbers, so a failed run can be run again.

import type { Random } from "./backoff.ts";

/** Numbers from 0 to 1 by mulberry32: even enough for tests, and nothing else. */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
