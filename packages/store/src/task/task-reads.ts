// SPDX-License-Identifier: Apache-2.0
// The functions that read tasks and their history, declared once.

import type { AttemptStageName, OutcomeKind, TaskStateName } from "@remex/domain";
import type { FunctionReply } from "../core/store.ts";
import { listOf, type TaskCall, taskFunction, textOf } from "./task-call.ts";

/** A task as it is stored. Instants are by the store's clock; 0 and "" stand for "not there". */
export interface TaskRow {
  readonly id: string;
  readonly key: string;
  readonly digest: Uint8Array;
  readonly spec: Uint8Array;
  readonly lane: string;
  readonly priority: number;
  readonly state: TaskStateName;
  readonly queuedAtMs: number;
  readonly endedAtMs: number;
  readonly attempt: string;
  readonly stage: AttemptStageName | "";
  readonly agent: string;
  readonly session: string;
  readonly attempts: number;
  readonly startedAtMs: number;
  readonly attemptEndedAtMs: number;
  readonly attemptReason: string;
  readonly outcome: Uint8Array | undefined;
  readonly retries: number;
  readonly recoveries: number;
  readonly cancelWished: boolean;
  readonly note: string;
  readonly reason: string;
  readonly staleReports: number;
  /** While it is HELD: when it is given up (Infinity: never), and why its agent's session ended. */
  readonly heldUntilMs: number;
  readonly heldReason: string;
  /** Run time of attempts whose report was refused as stale (C3). */
  readonly wastedMs: number;
  /** Calls that agents kept for its attempts during a cut and dropped (E1). */
  readonly droppedCalls: number;
}

// In the order of `shown_fields` in prelude.lua.
export function readRow(id: string, reply: FunctionReply): TaskRow | undefined {
  const values = listOf(reply);
  if (values.length === 0) return undefined;
  let at = 0;
  const bytes = (): Buffer => values[at++] as Buffer;
  const text = (): string => textOf(values[at++]);
  const number = (): number => Number(text());
  const row = {
    id,
    key: text(),
    digest: bytes(),
    spec: bytes(),
    lane: text(),
    priority: number(),
    state: text() as TaskStateName,
    queuedAtMs: number(),
    endedAtMs: number(),
    attempt: text(),
    stage: text() as AttemptStageName | "",
    agent: text(),
    session: text(),
    attempts: number(),
    startedAtMs: number(),
    attemptEndedAtMs: number(),
    attemptReason: text(),
    outcome: bytes(),
    retries: number(),
    recoveries: number(),
    cancelWished: text() === "1",
    note: text(),
    reason: text(),
    staleReports: number(),
    heldUntilMs: instant(text()),
    heldReason: text(),
    wastedMs: number(),
    droppedCalls: number(),
  };
  return { ...row, outcome: row.outcome.length === 0 ? undefined : row.outcome };
}

function instant(text: string): number {
  return text === "+inf" ? Number.POSITIVE_INFINITY : Number(text);
}

export const getTasks = taskFunction<
  TaskCall & { readonly ids: readonly string[] },
  { readonly kind: "tasks"; readonly rows: readonly (TaskRow | undefined)[] }
>({
  name: "get_tasks_v1",
  args: ({ ids }) => [JSON.stringify(ids)],
  parse: (reply, { ids }) => ({
    kind: "tasks",
    rows: listOf(reply).map((row, index) => readRow(ids[index] ?? "", row)),
  }),
});

export interface ListArgs extends TaskCall {
  /** Number of the submission to begin below; absence means the newest. */
  readonly below: number | undefined;
  readonly most: number;
  /** Most tasks to look at in this call, so that a narrow filter cannot hold up the store. */
  readonly look: number;
  readonly states: readonly TaskStateName[];
  readonly queue: string;
  readonly agent: string;
}

export const listTasks = taskFunction<
  ListArgs,
  {
    readonly kind: "page";
    readonly rows: readonly TaskRow[];
    /** Where the next page begins; undefined after the last one. */
    readonly below: number | undefined;
  }
>({
  name: "list_tasks_v1",
  args: ({ below, most, look, states, queue, agent }) => [
    below ?? "",
    most,
    look,
    // An empty list would reach the function as an object, which counts as empty too.
    JSON.stringify({ states, queue, agent }),
  ],
  parse: (reply) => {
    const [next, found] = listOf(reply);
    const items = listOf(found);
    const rows: TaskRow[] = [];
    for (let i = 0; i + 1 < items.length; i += 2) {
      const row = readRow(textOf(items[i]), items[i + 1] ?? null);
      if (row !== undefined) rows.push(row);
    }
    const below = textOf(next);
    return { kind: "page", rows, below: below === "" ? undefined : Number(below) };
  },
});

/** One change of a task. */
export interface TaskChangeRow {
  readonly id: string;
  /** Empty when the task's retention has passed. */
  readonly key: string;
  readonly state: TaskStateName;
  readonly attempt: string;
  readonly stage: AttemptStageName | "";
  readonly agent: string;
  readonly outcome: OutcomeKind | "";
  readonly reason: string;
  readonly exitCode: number | undefined;
  readonly message: string;
  readonly atMs: number;
  /** Number of the trigger's event that became durable; 0 when the change is none. */
  readonly triggerEvent: number;
}

/** What one call of a function changed. */
export interface ChangeEntry {
  /** Id in the history's stream. */
  readonly position: string;
  readonly changes: readonly TaskChangeRow[];
}

export const readChanges = taskFunction<
  TaskCall & { readonly after: string; readonly most: number },
  {
    readonly kind: "changes";
    /** Newest position of the history. */
    readonly newest: string;
    /** Position up to which the history was shortened; empty when it is whole. */
    readonly trimmedTo: string;
    readonly entries: readonly ChangeEntry[];
  }
>({
  name: "read_changes_v1",
  args: ({ after, most }) => [after, most],
  parse: (reply) => {
    const [newest, trimmedTo, entries, pairs] = listOf(reply);
    const keys = new Map<string, string>();
    const flat = listOf(pairs).map(textOf);
    for (let i = 0; i + 1 < flat.length; i += 2) keys.set(flat[i] ?? "", flat[i + 1] ?? "");
    return {
      kind: "changes",
      newest: textOf(newest),
      trimmedTo: textOf(trimmedTo),
      entries: listOf(entries).map((entry) => {
        const [position, at, changes] = listOf(entry).map(textOf);
        return {
          position: position ?? "",
          changes: readEntry(changes ?? "", Number(at), keys),
        };
      }),
    };
  },
});

const fieldsPerChange = 9;

function readEntry(text: string, atMs: number, keys: ReadonlyMap<string, string>): TaskChangeRow[] {
  const fields = text.split("\u001f");
  const rows: TaskChangeRow[] = [];
  for (let at = 0; at + fieldsPerChange <= fields.length; at += fieldsPerChange) {
    const change = fields.slice(at, at + fieldsPerChange);
    const [id = "", state, attempt = "", stage, agent = "", outcome, reason = ""] = change;
    const [exit = "", message = ""] = change.slice(7);
    // An event's change has its number where others have words for people.
    const isEvent = reason === "trigger_event";
    rows.push({
      id,
      key: keys.get(id) ?? "",
      state: state as TaskStateName,
      attempt,
      stage: (stage ?? "") as AttemptStageName | "",
      agent,
      outcome: (outcome ?? "") as OutcomeKind | "",
      reason,
      exitCode: exit === "" ? undefined : Number(exit),
      message: isEvent ? "" : message,
      atMs,
      triggerEvent: isEvent ? Number(message) : 0,
    });
  }
  return rows;
}

/** Who holds a task now. */
export interface AttemptRow {
  readonly kind: "attempt";
  readonly state: TaskStateName;
  readonly attempt: string;
  readonly stage: AttemptStageName | "";
  readonly agent: string;
  readonly session: string;
  /** True after a loss of the store, while agents may still bring a newer attempt (D2). */
  readonly quarantined: boolean;
}

export const readAttempt = taskFunction<
  TaskCall & { readonly id: string },
  AttemptRow | { readonly kind: "unknown"; readonly quarantined: boolean }
>({
  name: "read_attempt_v1",
  args: ({ id }) => [id],
  parse: (reply) => {
    const [quarantine, state = "", attempt, stage, agent, session] = listOf(reply).map(textOf);
    const quarantined = quarantine === "1";
    if (state === "") return { kind: "unknown", quarantined };
    return {
      kind: "attempt",
      quarantined,
      state: state as TaskStateName,
      attempt: attempt ?? "",
      stage: (stage ?? "") as AttemptStageName | "",
      agent: agent ?? "",
      session: session ?? "",
    };
  },
});

export const queueDepths = taskFunction<
  TaskCall,
  {
    readonly kind: "depths";
    readonly lanes: ReadonlyMap<string, number>;
    readonly states: ReadonlyMap<TaskStateName, number>;
  }
>({
  name: "queue_depths_v1",
  args: () => [],
  parse: (reply) => {
    const [lanes, states] = listOf(reply);
    return {
      kind: "depths",
      lanes: pairsOf(lanes),
      states: pairsOf(states) as ReadonlyMap<TaskStateName, number>,
    };
  },
});

function pairsOf(reply: FunctionReply | undefined): Map<string, number> {
  const items = listOf(reply);
  const pairs = new Map<string, number>();
  for (let i = 0; i + 1 < items.length; i += 2) pairs.set(textOf(items[i]), Number(items[i + 1]));
  return pairs;
}
