// SPDX-License-Identifier: Apache-2.0
// I6: no offer goes to an agent that is cordoned, degraded, suspect, failed or deleted, or whose session is over.

import type { Check } from "../observe/facts.ts";

export function createOffersCheck(): Check {
  return {
    rule: "I6",
    take(fact, known) {
      if (fact.kind !== "taskChanged") return undefined;
      const { before, after, task, deployment } = fact;
      if (after?.stage !== "OFFERED" || after.attempt === before?.attempt) return undefined;
      const row = known.sessions.get(`${deployment}/${after.agent}`);
      const fit =
        row?.session === after.session &&
        row?.state === "OPEN" &&
        row.health === "HEALTHY" &&
        row.availability === "SCHEDULABLE";
      if (fit) return undefined;
      const stands = `${row?.session} ${row?.state} ${row?.health} ${row?.availability}`;
      return `${task} ${after.attempt} was offered to ${after.agent} in ${after.session}, which is ${stands}`;
    },
  };
}
