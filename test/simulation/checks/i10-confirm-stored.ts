// SPDX-License-Identifier: Apache-2.0
// I10: a confirm on the wire is in the store.

import type { Check } from "../observe/facts.ts";

export function createConfirmStoredCheck(): Check {
  const stored = new Set<string>();
  return {
    rule: "I10",
    take(fact) {
      if (fact.kind === "taskChanged" && fact.after?.stage === "CONFIRMED") {
        stored.add(`${fact.task} ${fact.after.attempt} ${fact.after.session}`);
      } else if (fact.kind === "storeReset") {
        for (const [place, row] of fact.tasks) {
          stored.add(`${place.split("/")[1]} ${row.attempt} ${row.session}`);
        }
      } else if (fact.kind === "sent" && fact.what === "confirm") {
        if (stored.has(`${fact.task} ${fact.attempt} ${fact.session}`)) return undefined;
        return `a confirm of ${fact.task} ${fact.attempt} went to ${fact.session}, the store has none`;
      }
      return undefined;
    },
  };
}
