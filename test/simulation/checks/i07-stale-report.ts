// SPDX-License-Identifier: Apache-2.0
// I7: a report that is not taken changes nothing but counters.

import type { Check, Row } from "../observe/facts.ts";

const counters: ReadonlySet<string> = new Set(["staleReports", "wastedMs", "droppedCalls"]);

export function createStaleReportCheck(): Check {
  return {
    rule: "I7",
    take(fact) {
      if (fact.kind !== "reportJudged" || fact.verdict === "ACCEPTED" || !fact.alone)
        return undefined;
      const changed = changedFields(fact.before ?? {}, fact.after ?? {});
      if (changed.length === 0) return undefined;
      return `a report of ${fact.task} ${fact.attempt} was ${fact.verdict} and changed ${changed.join(", ")}`;
    },
  };
}

function changedFields(before: Row, after: Row): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => !counters.has(name) && before[name] !== after[name]);
}
