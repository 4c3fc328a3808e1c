// SPDX-License-Identifier: Apache-2.0
// I9: sessions and attempts are unique and increasing, over failovers too.

import type { Check } from "../observe/facts.ts";
import { isAfter } from "./refs.ts";

export function createNumbersCheck(): Check {
  const sessions = new Map<string, string>();
  const attempts = new Map<string, string>();
  return {
    rule: "I9",
    take(fact) {
      if (fact.kind === "sessionChanged") {
        const session = fact.after?.session;
        if (session === undefined || session === fact.before?.session) return undefined;
        return grown(sessions, `${fact.deployment}/${fact.agent}`, session);
      }
      // What a store has forgotten is adopted from an agent's inventory with the number that it had.
      if (fact.kind === "taskChanged" && fact.by.startsWith("claim_tasks")) {
        const attempt = fact.after?.attempt;
        if (attempt === undefined || attempt === "" || attempt === fact.before?.attempt)
          return undefined;
        return grown(attempts, fact.task, attempt);
      }
      return undefined;
    },
  };
}

function grown(greatest: Map<string, string>, name: string, ref: string): string | undefined {
  const before = greatest.get(name);
  if (before !== undefined && !isAfter(ref, before))
    return `${name} was given ${ref} after ${before}`;
  greatest.set(name, ref);
  return undefined;
}
