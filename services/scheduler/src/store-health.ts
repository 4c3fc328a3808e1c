// SPDX-License-Identifier: Apache-2.0
// Whether the store answers: said once when it changes, in the log and to whoever asks.

import type { Logger } from "@remex/runtime";

export interface StoreHealth {
  /** A call was answered, or not. */
  note(answered: boolean, error?: unknown): void;
  /** What keeps the store from being used; undefined when nothing does. */
  readonly problem: string | undefined;
}

export function createStoreHealth(log: Logger): StoreHealth {
  let problem: string | undefined = "the store was not reached yet";
  return {
    note(answered, error) {
      if (answered && problem !== undefined) log.info("the store answers");
      if (!answered && problem === undefined) {
        log.warn({ err: error }, "the store is away: no offers, no confirms, reports are put off");
      }
      problem = answered ? undefined : "the store does not answer";
    },
    get problem() {
      return problem;
    },
  };
}
