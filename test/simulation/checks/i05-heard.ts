// SPDX-License-Identifier: Apache-2.0
// I5: no agent fails for time in which the control plane could not have heard it.

import type { Check } from "../observe/facts.ts";

export function createHeardCheck(): Check {
  /** When each session was last known to be alive by the store. */
  const heardAtMs = new Map<string, number>();
  return {
    rule: "I5",
    take(fact, known) {
      if (fact.kind === "beatTaken") {
        heardAtMs.set(fact.session, fact.atMs);
        return undefined;
      }
      if (fact.kind !== "sessionChanged") return undefined;
      const { before, after, agent, atMs } = fact;
      const session = after?.session ?? "";
      if (after !== undefined && after.session !== before?.session) heardAtMs.set(session, atMs);
      if (after?.state !== "ENDED" || before?.state === "ENDED" || after.reason !== "lease_expired")
        return undefined;
      const silentMs = atMs - (heardAtMs.get(session) ?? 0);
      if (silentMs >= known.limitMs - 1) return undefined;
      return `${agent} ${session} failed after ${silentMs.toFixed(0)} ms, the limit is ${known.limitMs} ms`;
    },
  };
}
