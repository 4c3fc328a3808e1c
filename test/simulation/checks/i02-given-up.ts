// SPDX-License-Identifier: Apache-2.0
// I2: nothing starts that the control plane has given up, nor what it never confirmed.

import type { Check, Row } from "../observe/facts.ts";
import { deployment } from "../plan.ts";
import { isAfter } from "./refs.ts";

/** Stages of an attempt that may be starting. */
const mayStart: ReadonlySet<string> = new Set(["CONFIRMED", "STARTED"]);

export function createGivenUpCheck(): Check {
  /** Since the store was replaced it may not know what was confirmed before. */
  const confirmed = new Set<string>();
  const startedAtMs = new Map<string, number>();
  let resets = 0;
  return {
    rule: "I2",
    take(fact, known) {
      if (fact.kind === "storeReset") resets += 1;
      if (fact.kind === "taskChanged" && fact.after?.stage === "CONFIRMED") {
        confirmed.add(`${fact.task} ${fact.after.attempt}`);
      }
      if (fact.kind === "taskChanged") {
        // The store is told of with a delay: a start that came after the end of its attempt in the store.
        const attempt = fact.before?.attempt ?? "";
        const startMs = startedAtMs.get(`${fact.task} ${attempt}`);
        if (startMs === undefined || startMs <= fact.atMs || isCurrent(fact.after, attempt))
          return undefined;
        return `${fact.task} ${attempt} was started after the store had given it up`;
      }
      if (fact.kind !== "began") return undefined;
      const { task, attempt, atMs } = fact;
      startedAtMs.set(`${task} ${attempt}`, atMs);
      const row = known.tasks.get(`${deployment}/${task}`);
      if (isCurrent(row, attempt)) return undefined;
      const wasConfirmed = confirmed.has(`${task} ${attempt}`);
      const forgotten = row?.attempt === undefined || isAfter(attempt, row.attempt);
      if (resets > 0 && wasConfirmed && forgotten) return undefined;
      const stands =
        row === undefined ? "no such task" : `${row.state} ${row.attempt} ${row.stage}`;
      return `${task} ${attempt} was started, the store has ${stands}`;
    },
  };
}

function isCurrent(row: Row | undefined, attempt: string): boolean {
  if (row === undefined || row.attempt !== attempt) return false;
  return (row.state === "ASSIGNED" || row.state === "HELD") && mayStart.has(row.stage ?? "");
}
