// SPDX-License-Identifier: Apache-2.0
// The functions of triggers' events (PROTOCOL C5, G3), declared once.

import { listOf, parseJson, type TaskCall, taskFunction, textOf } from "./task-call.ts";

/** Events that one agent sent in one session. */
export interface EventGroup {
  readonly agent: string;
  readonly session: string;
  readonly events: readonly EventItem[];
}

export interface EventItem {
  readonly id: string;
  readonly attempt: string;
  readonly number: number;
  /** Greatest number that its agent was told is durable. */
  readonly known: number;
  readonly payload: Uint8Array;
}

export interface EventJudgement {
  /** Greatest number up to which all events of the attempt are durable. */
  readonly durable: number;
  /** `stale`: it is not taken and never will be; `later`: not now, it may be sent again. */
  readonly refusal: "" | "stale" | "later";
}

export const noteTriggerEvents = taskFunction<
  TaskCall & { readonly groups: readonly EventGroup[] },
  { readonly kind: "noted"; readonly judgements: readonly EventJudgement[] }
>({
  name: "note_trigger_events_v1",
  args: ({ groups }) => [
    JSON.stringify(
      groups.map(({ agent, session, events }) => [
        agent,
        session,
        events.map((event) => [
          event.id,
          event.attempt,
          event.number,
          event.payload.length,
          event.known,
        ]),
      ]),
    ),
    Buffer.concat(groups.flatMap(({ events }) => events.map(({ payload }) => payload))),
  ],
  parse: (reply) => ({
    kind: "noted",
    judgements: parseJson<[number, EventJudgement["refusal"]][]>(reply).map(
      ([durable, refusal]) => ({ durable, refusal }),
    ),
  }),
});

/** A durable event. */
export interface TriggerEventRow {
  readonly position: number;
  readonly attempt: string;
  readonly number: number;
  readonly agent: string;
  readonly atMs: number;
  readonly payload: Uint8Array;
}

export const listTriggerEvents = taskFunction<
  TaskCall & {
    readonly id: string;
    readonly after: number;
    readonly most: number;
    /** Bytes of payloads after which the answer ends. */
    readonly mostBytes: number;
  },
  | { readonly kind: "unknown" }
  | {
      readonly kind: "events";
      /** How many there ever were. */
      readonly total: number;
      readonly events: readonly TriggerEventRow[];
    }
>({
  name: "list_trigger_events_v1",
  args: ({ id, after, most, mostBytes }) => [id, after, most, mostBytes],
  parse: (reply) => {
    const [total, found] = listOf(reply);
    if (total === undefined) return { kind: "unknown" };
    const fields = listOf(found);
    const events: TriggerEventRow[] = [];
    for (let at = 0; at + 5 < fields.length; at += 6) {
      events.push({
        position: Number(textOf(fields[at])),
        attempt: textOf(fields[at + 1]),
        number: Number(textOf(fields[at + 2])),
        agent: textOf(fields[at + 3]),
        atMs: Number(textOf(fields[at + 4])),
        payload: fields[at + 5] as Buffer,
      });
    }
    return { kind: "events", total: Number(textOf(total)), events };
  },
});
