// SPDX-License-Identifier: Apache-2.0
// I13: one live stream per session: generations only grow, and when all is well one stream is left.

import type { Check } from "../observe/facts.ts";

/** A registry that was cut off learns by its sweep, every 5 s, that a stream of its own was superseded. */
const learntMs = 8_000;

export function createStreamsCheck(): Check {
  const open = new Map<string, Set<number>>();
  const greatest = new Map<string, number>();
  let healedAtMs = 0;
  return {
    rule: "I13",
    take(fact) {
      if (fact.kind === "healed") healedAtMs = fact.atMs;
      if (fact.kind === "sent" && fact.what === "welcome") {
        const { session, generation } = fact;
        const streams = open.get(session) ?? new Set();
        open.set(session, streams.add(generation));
        const before = greatest.get(session) ?? 0;
        if (generation === before)
          return `${session} was welcomed twice in generation ${generation}`;
        greatest.set(session, Math.max(before, generation));
      } else if (fact.kind === "streamGone") {
        open.get(fact.session)?.delete(fact.generation);
      } else if (fact.kind === "over" && fact.atMs >= healedAtMs + learntMs) {
        for (const [session, streams] of open) {
          if (streams.size > 1) return `${session} has ${streams.size} live streams`;
        }
      }
      return undefined;
    },
  };
}
