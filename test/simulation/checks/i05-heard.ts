// SPDX-License-Identifier: Apache-2.0
// I5: no agent fails for time in which the control plane could not have heard it.

import type { Check } from "../observe/facts.ts";

/** Looks that follow each other within this time show that a monitor lived and reached the store throughout. */
const steadyMs = 1_000;

export function createHeardCheck(): Check {
  /** Time in which some monitor worked, until now; and what it was when each session was last heard. */
  let workedMs = 0;
  let lookedAtMs = 0;
  const heardAtMs = new Map<string, number>();
  const heardAtWorkMs = new Map<string, number>();
  const note = (session: string, atMs: number): void => {
    heardAtMs.set(session, atMs);
    heardAtWorkMs.set(session, workedMs);
  };
  return {
    rule: "I5",
    take(fact, known) {
      if (fact.kind === "scanned") {
        const passedMs = fact.atMs - lookedAtMs;
        if (passedMs <= steadyMs) workedMs += Math.max(0, passedMs);
        lookedAtMs = Math.max(lookedAtMs, fact.atMs);
      }
      if (fact.kind === "beatTaken") note(fact.session, fact.atMs);
      if (fact.kind !== "sessionChanged") return undefined;
      const { before, after, agent, atMs } = fact;
      const session = after?.session ?? "";
      if (after !== undefined && after.session !== before?.session) note(session, atMs);
      if (
        after?.state !== "ENDED" ||
        before?.state === "ENDED" ||
        after.reason !== "lease_expired"
      ) {
        return undefined;
      }
      const silentMs = atMs - (heardAtMs.get(session) ?? 0);
      // The look that found it is not noted yet; one more may lie before its first beat.
      const ableMs = workedMs - (heardAtWorkMs.get(session) ?? 0) + 2 * steadyMs;
      if (silentMs >= known.limitMs - 1 && ableMs >= known.limitMs) return undefined;
      const spans = `${silentMs.toFixed(0)} ms of silence, of which monitors worked ${ableMs.toFixed(0)} ms`;
      return `${agent} ${session} failed after ${spans} at most, the limit is ${known.limitMs} ms`;
    },
  };
}
