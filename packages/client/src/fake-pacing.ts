// SPDX-License-Identifier: Apache-2.0
// A pacing for tests: short waits pass at once, long ones when the test says so.

import type { Pacing } from "./pacing.ts";

export interface FakePacing extends Pacing {
  /** Every wait below the limit, in order, in ms. */
  readonly waits: readonly number[];
  /** Lets time pass without anything being waited for. */
  elapse(ms: number): void;
  /** Lets every long wait that still runs come to its end. */
  endLongWaits(): void;
}

/** Waits of at least so long are limits, not pauses. */
const longMs = 20_000;

export function createFakePacing(random = 0.5): FakePacing {
  let nowMs = 0;
  const waits: number[] = [];
  const long = new Set<{ readonly ms: number; readonly action: () => void }>();
  return {
    waits,
    nowMs: () => nowMs,
    random: () => random,
    elapse: (ms) => {
      nowMs += ms;
    },
    after: (ms, action) => {
      if (ms >= longMs) {
        const wait = { ms, action };
        long.add(wait);
        return () => void long.delete(wait);
      }
      waits.push(ms);
      const immediate = setImmediate(() => {
        nowMs += ms;
        action();
      });
      return () => clearImmediate(immediate);
    },
    endLongWaits: () => {
      for (const wait of [...long]) {
        long.delete(wait);
        nowMs += wait.ms;
        wait.action();
      }
    },
  };
}
