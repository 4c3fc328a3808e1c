// SPDX-License-Identifier: Apache-2.0
// S3: the store confirms only in an open session whose lease holds, of an agent that may be given work.

import type { Check } from "../observe/facts.ts";

export function createConfirmCheck(): Check {
  const heardAtMs = new Map<string, number>();
  return {
    rule: "S3",
    take(fact, known) {
      if (fact.kind === "beatTaken") heardAtMs.set(fact.session, fact.atMs);
      if (fact.kind === "sessionChanged" && fact.after?.session !== fact.before?.session) {
        heardAtMs.set(fact.after?.session ?? "", fact.atMs);
      }
      if (fact.kind !== "taskChanged" || !fact.by.startsWith("confirm_attempts")) return undefined;
      const { before, after, task, deployment, atMs } = fact;
      if (after?.stage !== "CONFIRMED" || before?.stage === "CONFIRMED") return undefined;
      const row = known.sessions.get(`${deployment}/${after.agent}`);
      const stands = `${row?.session} ${row?.state} ${row?.availability}`;
      const fit =
        row?.session === after.session &&
        row?.state === "OPEN" &&
        row.availability === "SCHEDULABLE";
      if (!fit)
        return `${task} ${after.attempt} was confirmed in ${after.session}, the store has ${stands}`;
      const silentMs = atMs - (heardAtMs.get(row.session ?? "") ?? 0);
      if (silentMs < known.limitMs + clockSlackMs) return undefined;
      return `${task} ${after.attempt} was confirmed ${silentMs.toFixed(0)} ms after the last beat of ${row.session}`;
    },
  };
}

/** Redis may have set its clock back meanwhile: what it counts is then less than what passed. */
const clockSlackMs = 20_000;
