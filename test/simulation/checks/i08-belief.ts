// SPDX-License-Identifier: Apache-2.0
// I8: while an agent believes its lease, its session is OPEN or ENDING.

import type { Check, Row } from "../observe/facts.ts";

export function createBeliefCheck(): Check {
  /** Until when each session's agent told its runner that the lease holds, by the agent's own reckoning. */
  const believedUntilMs = new Map<string, number>();
  return {
    rule: "I8",
    take(fact) {
      if (fact.kind === "believes") {
        const before = believedUntilMs.get(fact.session) ?? 0;
        believedUntilMs.set(fact.session, Math.max(before, fact.untilMs));
        return undefined;
      }
      if (fact.kind !== "sessionChanged") return undefined;
      const { before, after, agent, atMs } = fact;
      if (after?.state !== "ENDED" || before?.state === "ENDED" || saidByAgent(after))
        return undefined;
      const untilMs = believedUntilMs.get(after.session ?? "") ?? 0;
      if (untilMs <= atMs) return undefined;
      return `${agent} ${after.session} ended while its agent believes it for ${(untilMs - atMs).toFixed(0)} ms more`;
    },
  };
}

/** The agent itself said that nothing runs, or another process of it did. */
function saidByAgent({ health, reason }: Row): boolean {
  return health === "LEFT" || reason === "agent_restarted" || reason === "superseded";
}
