// SPDX-License-Identifier: Apache-2.0
// I14: with faults healed, every task that a living agent fits ends in time.

import type { Check } from "../observe/facts.ts";

export function createEndsCheck(): Check {
  return {
    rule: "I14",
    take(fact, known) {
      if (fact.kind !== "over" || fact.unfinished.length === 0) return undefined;
      const rows = fact.unfinished.map((task) => {
        const place = [...known.tasks.keys()].find((name) => name.endsWith(`/${task}`));
        const row = place === undefined ? undefined : known.tasks.get(place);
        return `${task} is ${row === undefined ? "unknown" : `${row.state} ${row.attempt} ${row.stage} ${row.agent}`}`;
      });
      return rows.join("; ");
    },
  };
}
