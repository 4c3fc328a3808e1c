// SPDX-License-Identifier: Apache-2.0
// I20: the recovery cap holds.

import type { Check } from "../observe/facts.ts";

const defaultCap = 3;

export function createRecoveriesCheck(): Check {
  return {
    rule: "I20",
    take(fact) {
      if (fact.kind !== "taskChanged" || fact.after === undefined) return undefined;
      const { recoveries = "0", maxRecoveries } = fact.after;
      const cap = maxRecoveries === undefined ? defaultCap : Number(maxRecoveries);
      return Number(recoveries) > cap
        ? `${fact.task} was recovered ${recoveries} times, at most ${cap}`
        : undefined;
    },
  };
}
