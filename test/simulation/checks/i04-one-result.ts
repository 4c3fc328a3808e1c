// SPDX-License-Identifier: Apache-2.0
// I4: at most one result is taken per attempt, of an attempt that started, and an ended task never changes.

import type { Check, FactOf } from "../observe/facts.ts";

const terminal: ReadonlySet<string> = new Set(["SUCCEEDED", "FAILED", "CANCELED"]);

export function createOneResultCheck(): Check {
  const began = new Set<string>();
  const exits = new Map<string, string>();
  const taken = new Map<string, string>();
  return {
    rule: "I4",
    take(fact, known) {
      if (fact.kind === "began") began.add(`${fact.task} ${fact.attempt}`);
      else if (fact.kind === "ended") exits.set(`${fact.task} ${fact.attempt}`, fact.how);
      else if (fact.kind === "storeReset") taken.clear();
      else if (fact.kind === "taskChanged") {
        return changedAfterItsEnd(fact) ?? resultOf(fact, known.planned.get(fact.task)?.exitCode);
      }
      return undefined;
    },
  };

  function changedAfterItsEnd({ task, before, after }: FactOf<"taskChanged">): string | undefined {
    if (before?.state === undefined || !terminal.has(before.state)) return undefined;
    if (after === undefined) return undefined;
    const same = before.state === after.state && before.outcomeDigest === after.outcomeDigest;
    return same ? undefined : `${task} had ended ${before.state} and is ${after.state} now`;
  }

  function resultOf(
    { task, before, after }: FactOf<"taskChanged">,
    exitCode: number | undefined,
  ): string | undefined {
    const digest = after?.outcomeDigest;
    if (after === undefined || digest === undefined || digest === before?.outcomeDigest)
      return undefined;
    const name = `${task} ${after.attempt}`;
    const earlier = taken.get(name);
    taken.set(name, digest);
    if (earlier !== undefined && earlier !== digest) return `${name} had another result before`;
    if (!began.has(name)) return `a result of ${name} was taken, which never started`;
    const how = exits.get(name);
    if (how === undefined) return `a result of ${name} was taken while it runs`;
    if (after.state === "SUCCEEDED" && (how !== "exit 0" || exitCode !== 0)) {
      return `${name} succeeded in the store and ended with ${how}`;
    }
    return undefined;
  }
}
