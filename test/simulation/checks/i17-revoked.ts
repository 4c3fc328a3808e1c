// SPDX-License-Identifier: Apache-2.0
// I17: nothing is acknowledged in a session that the store has as ENDING or ENDED, a revoked token's among them.

import type { Check } from "../observe/facts.ts";

export function createRevokedCheck(): Check {
  return {
    rule: "I17",
    take(fact, known) {
      if (fact.kind !== "beatTaken") return undefined;
      const row = known.sessions.get(`${fact.deployment}/${fact.agent}`);
      if (row?.session === fact.session && row?.state === "OPEN") return undefined;
      return `a beat of ${fact.agent} ${fact.session} was taken, the store has ${row?.session} ${row?.state} ${row?.reason ?? ""}`;
    },
  };
}
