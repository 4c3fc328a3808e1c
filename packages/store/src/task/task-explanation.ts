// SPDX-License-Identifier: Apache-2.0
// The function that reads why a task has not ended yet, declared once (PROTOCOL S8).

import { listOf, type TaskCall, taskFunction, textOf } from "./task-call.ts";
import { readRow, type TaskRow } from "./task-reads.ts";

/** An agent handed the task back. */
export interface TaskRefusal {
  readonly atMs: number;
  readonly agent: string;
  readonly reason: string;
  readonly message: string;
}

/** A task and what keeps it. */
export interface TaskStanding {
  readonly kind: "standing";
  readonly nowMs: number;
  readonly row: TaskRow;
  readonly slotCost: number;
  /** Tasks before it in its lane; undefined when it does not wait. */
  readonly ahead: number | undefined;
  /** Newest first. */
  readonly refusals: readonly TaskRefusal[];
  /** Nothing is offered until every agent has said what it runs (D2). */
  readonly quarantine: boolean;
  /** Slots reserved in the store, by the agents asked for. */
  readonly slots: ReadonlyMap<string, number>;
}

export const explainTask = taskFunction<
  TaskCall & { readonly id: string; readonly agents: readonly string[] },
  TaskStanding | { readonly kind: "unknown" }
>({
  name: "explain_task_v1",
  args: ({ id, agents }) => [id, JSON.stringify(agents)],
  parse: (reply, { id, agents }) => {
    const [now, shown, ahead, refusals, quarantine, slots, slotCost] = listOf(reply);
    const row = shown === undefined ? undefined : readRow(id, shown);
    if (row === undefined) return { kind: "unknown" };
    const counts = listOf(slots);
    const place = textOf(ahead);
    return {
      kind: "standing",
      nowMs: Number(now),
      row,
      slotCost: Number(slotCost),
      ahead: place === "" ? undefined : Number(place),
      refusals: textOf(refusals)
        .split("\n")
        .filter((line) => line !== "")
        .map(readRefusal),
      quarantine: Number(quarantine) === 1,
      slots: new Map(agents.map((agent, at) => [agent, Number(counts[at] ?? 0)])),
    };
  },
});

function readRefusal(line: string): TaskRefusal {
  const [at = "", agent = "", reason = "", message = ""] = line.split("\u001f");
  return { atMs: Number(at), agent, reason, message };
}
