// SPDX-License-Identifier: Apache-2.0
// A scenario of harm, what it reports, and chance that a seed repeats.

import type { Judgement } from "./checker.ts";

export interface Report {
  readonly judgement: Judgement;
  /** What was done, by kind: how often it really took effect. */
  readonly harm: Readonly<Record<string, number>>;
  /** Further figures of the scenario, in its own words. */
  readonly figures?: Readonly<Record<string, number | string>>;
  /** Promises beyond the invariants that did not hold. */
  readonly broken?: readonly string[];
}

export interface ScenarioContext {
  readonly chance: Chance;
  /** How long the harm goes on, in seconds. */
  readonly seconds: number;
  readonly say: (line: string) => void;
}

export interface Scenario {
  readonly name: string;
  readonly about: string;
  readonly run: (context: ScenarioContext) => Promise<Report>;
}

export interface Chance {
  /** From `from` up to, and without, `to`. */
  between(from: number, to: number): number;
  pick<Item>(items: readonly Item[]): Item;
}

/** The same seed chooses the same harm in the same order; when it hits is the machine's own chance. */
export function chanceOf(seed: number): Chance {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  return {
    between: (from, to) => from + next() * (to - from),
    pick: (items) => {
      const item = items[Math.floor(next() * items.length)];
      if (item === undefined) throw new Error("there is nothing to pick from");
      return item;
    },
  };
}

export function sleepMs(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Does `harm` again and again, with pauses of `pauseMs`, until the time is over. */
export async function harmFor(
  { seconds, chance }: ScenarioContext,
  pauseMs: readonly [number, number],
  harm: () => Promise<void>,
): Promise<void> {
  const until = performance.now() + seconds * 1_000;
  while (performance.now() < until) {
    await sleepMs(chance.between(pauseMs[0], pauseMs[1]));
    await harm();
  }
}
