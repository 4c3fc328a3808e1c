// SPDX-License-Identifier: Apache-2.0
// The functions that keep tasks and agents in step: inventories, losses, cancels and sweeps, declared once.

import type { TaskStateName } from "@remex/domain";
import { parseJson, type TaskCall, taskFunction } from "./task-call.ts";

/** Names an attempt and who holds it. */
export interface HeldAttempt {
  readonly agent: string;
  readonly session: string;
  readonly id: string;
  readonly attempt: string;
}

export const expireOffers = taskFunction<
  TaskCall & { readonly most: number },
  { readonly kind: "expired"; readonly attempts: readonly HeldAttempt[] }
>({
  name: "expire_offers_v1",
  args: ({ most }) => [most],
  parse: (reply) => ({ kind: "expired", attempts: readHeld(reply) }),
});

/** What an agent holds, at one point of its sequence. */
export interface InventoryItem {
  readonly agent: string;
  readonly session: string;
  readonly sequence: number;
  readonly entries: readonly {
    readonly id: string;
    readonly attempt: string;
    readonly state: "ACCEPTED" | "STARTED" | "ENDED";
  }[];
}

export interface InventoryJudgement {
  /** One per entry, in order. */
  readonly verdicts: readonly ("KEEP" | "KILL" | "REPORT")[];
  /** Attempts that are kept and whose cancel is wished (C4). */
  readonly wished: readonly { readonly id: string; readonly attempt: string }[];
}

export const reconcileInventories = taskFunction<
  TaskCall & { readonly inventories: readonly InventoryItem[] },
  { readonly kind: "reconciled"; readonly judgements: readonly InventoryJudgement[] }
>({
  name: "reconcile_inventories_v1",
  args: ({ inventories }) => [
    JSON.stringify(
      inventories.map(({ agent, session, sequence, entries }) => [
        agent,
        session,
        sequence,
        entries.map(({ id, attempt, state }) => [id, attempt, state]),
      ]),
    ),
  ],
  parse: (reply) => ({
    kind: "reconciled",
    judgements: parseJson<[InventoryJudgement["verdicts"], [string, string][]][]>(reply).map(
      ([verdicts, wished]) => ({
        verdicts,
        wished: wished.map(([id, attempt]) => ({ id, attempt })),
      }),
    ),
  }),
});

export const giveUpSession = taskFunction<
  TaskCall & {
    readonly agent: string;
    readonly session: string;
    readonly reason: string;
    /** When it ended, by the store's clock: `lost_after` counts from then. */
    readonly endedAtMs: number;
    readonly most: number;
  },
  /** `alive`: the session is not over, nothing changed. `more`: call again. */
  | { readonly kind: "alive" }
  | {
      readonly kind: "given_up";
      readonly attempts: number;
      /** Attempts that are HELD from now on (H1). */
      readonly held: number;
      readonly more: boolean;
    }
>({
  name: "give_up_session_v1",
  args: ({ agent, session, reason, endedAtMs, most }) => [agent, session, reason, endedAtMs, most],
  parse: (reply) => {
    if (String(reply) === "alive") return { kind: "alive" };
    const [attempts, held, left] = parseJson<[number, number, number]>(reply);
    return { kind: "given_up", attempts, held, more: left === 1 };
  },
});

export const expireHolds = taskFunction<
  TaskCall & { readonly most: number },
  { readonly kind: "expired"; readonly attempts: readonly HeldAttempt[] }
>({
  name: "expire_holds_v1",
  args: ({ most }) => [most],
  parse: (reply) => ({ kind: "expired", attempts: readHeld(reply) }),
});

export interface CancelAnswer {
  /** State now; empty when there is no such task. */
  readonly state: TaskStateName | "";
  /** Whom to tell: a running attempt (state ASSIGNED) or a withdrawn offer (CANCELED); nobody of HELD work. */
  readonly tell: HeldAttempt | undefined;
}

export const cancelTasks = taskFunction<
  TaskCall & { readonly ids: readonly string[] },
  { readonly kind: "wished"; readonly answers: readonly CancelAnswer[] }
>({
  name: "cancel_tasks_v1",
  args: ({ ids }) => [JSON.stringify(ids)],
  parse: (reply, { ids }) => ({
    kind: "wished",
    answers: parseJson<[TaskStateName | "", string, string, string][]>(reply).map(
      ([state, agent, session, attempt], index) => ({
        state,
        tell: agent === "" ? undefined : { agent, session, id: ids[index] ?? "", attempt },
      }),
    ),
  }),
});

export const listCancels = taskFunction<
  TaskCall & { readonly most: number },
  { readonly kind: "wished"; readonly attempts: readonly HeldAttempt[] }
>({
  name: "list_cancels_v1",
  args: ({ most }) => [most],
  parse: (reply) => ({ kind: "wished", attempts: readHeld(reply) }),
});

export const trimEnded = taskFunction<
  TaskCall & { readonly most: number; readonly mostChanges: number },
  { readonly kind: "trimmed"; readonly tasks: number; readonly entries: number }
>({
  name: "trim_ended_v1",
  args: ({ most, mostChanges }) => [most, mostChanges],
  parse: (reply) => {
    const [tasks, entries] = parseJson<[number, number]>(reply);
    return { kind: "trimmed", tasks, entries };
  },
});

function readHeld(reply: Parameters<typeof parseJson>[0]): HeldAttempt[] {
  return parseJson<[string, string, string, string][]>(reply).map(
    ([agent, session, id, attempt]) => ({ agent, session, id, attempt }),
  );
}
