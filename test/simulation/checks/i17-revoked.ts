// SPDX-License-Identifier: Apache-2.0
// I17: nothing is acknowledged in a session that the store has as ENDING or ENDED, a revoked token's among them.

import type { Check } from "../observe/facts.ts";

/** A revocation reaches every session within this time once nothing is broken (L7). */
const reachMs = 12_000;

export function createRevokedCheck(): Check {
  const revokedAtMs = new Map<string, number>();
  let healedAtMs = Number.POSITIVE_INFINITY;
  return {
    rule: "I17",
    take(fact, known) {
      if (fact.kind === "revoked") revokedAtMs.set(fact.token, fact.atMs);
      if (fact.kind === "healed") healedAtMs = fact.atMs;
      if (fact.kind !== "beatTaken") return undefined;
      const { agent, session, deployment, atMs } = fact;
      const row = known.sessions.get(`${deployment}/${agent}`);
      if (row?.session !== session || row?.state !== "OPEN") {
        return `a beat of ${agent} ${session} was taken, the store has ${row?.session} ${row?.state}`;
      }
      const revoked = revokedAtMs.get(row.token ?? "");
      if (revoked === undefined || atMs < Math.max(revoked, healedAtMs) + reachMs) return undefined;
      return `a beat of ${agent} ${session} was taken, its token was revoked at ${revoked.toFixed(0)} ms`;
    },
  };
}
