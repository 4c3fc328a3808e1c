// SPDX-License-Identifier: Apache-2.0
// I3: copies that run at once are none more than section 6 allows: under ABORT one, under CONTINUE a zombie too.

import type { Check, WorkFact } from "../observe/facts.ts";

interface Running extends WorkFact {
  readonly aborts: boolean;
  readonly sinceMs: number;
}

/** What a guard that stands still or is killed cannot keep: its work may outlive the limit. */
const guardFaults: ReadonlySet<string> = new Set(["pauseRunner", "pauseMachine", "killRunner"]);

export function createCopiesCheck(): Check {
  const running = new Map<string, Running[]>();
  /** When the guard of a machine was last harmed, by the machine or its agent. */
  const harmedAtMs = new Map<string, number>();
  return {
    rule: "I3",
    take(fact, known) {
      if (fact.kind === "fault" && guardFaults.has(fact.what)) {
        const [target = ""] = fact.target.split(" ");
        const host = known.agents.find(({ name }) => name === target)?.host ?? target;
        harmedAtMs.set(host, fact.atMs);
        return undefined;
      }
      if (fact.kind === "ended") {
        const left = (running.get(fact.task) ?? []).filter(
          ({ pid, host }) => pid !== fact.pid || host !== fact.host,
        );
        running.set(fact.task, left);
        return undefined;
      }
      if (fact.kind !== "began") return undefined;
      const copies = running.get(fact.task) ?? [];
      const row = known.tasks.get(
        [...known.tasks.keys()].find((place) => place.endsWith(`/${fact.task}`)) ?? "",
      );
      const aborts =
        row?.attempt === fact.attempt
          ? row.aborts === "1"
          : known.planned.get(fact.task)?.onCut === "ABORT";
      running.set(fact.task, [...copies, { ...fact, aborts, sinceMs: fact.atMs }]);
      for (const copy of copies) {
        const harmedMs = harmedAtMs.get(copy.host) ?? Number.NEGATIVE_INFINITY;
        if (!copy.aborts || harmedMs >= copy.sinceMs) continue;
        return `${fact.task} ${fact.attempt} was started on ${fact.host} while ${copy.attempt} ran on ${copy.host} under ABORT`;
      }
      return undefined;
    },
  };
}
