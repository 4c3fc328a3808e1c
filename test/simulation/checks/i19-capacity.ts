// SPDX-License-Identifier: Apache-2.0
// I19: slots used never exceed capacity: by what runs on a machine.

import type { Check, WorkFact } from "../observe/facts.ts";

export function createCapacityCheck(): Check {
  const running = new Map<string, WorkFact[]>();
  /** What a killed runner left behind is nobody's, until the next one ends it. */
  return {
    rule: "I19",
    take(fact, known) {
      if (fact.kind === "fault" && fact.what === "killRunner") {
        const [target = ""] = fact.target.split(" ");
        running.delete(known.agents.find(({ name }) => name === target)?.host ?? target);
      } else if (fact.kind === "ended") {
        const left = (running.get(fact.host) ?? []).filter(({ pid }) => pid !== fact.pid);
        running.set(fact.host, left);
      } else if (fact.kind === "began") {
        const works = [...(running.get(fact.host) ?? []), fact];
        running.set(fact.host, works);
        const used = works.reduce(
          (sum, { task }) => sum + (known.planned.get(task)?.slotCost ?? 1),
          0,
        );
        const slots = known.agents.find(({ host }) => host === fact.host)?.slots ?? 0;
        if (used > slots) return `${fact.host} runs ${used} slots of ${slots}`;
      }
      return undefined;
    },
  };
}
