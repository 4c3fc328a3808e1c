// SPDX-License-Identifier: Apache-2.0
// The functions that keep tasks and agents in step: inventories, losses, cancels and sweeps, declared once.

import type { OnLost, TaskStateName } from "@remex/domain";
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
    /** What an attempt of an older epoch is rebuilt from; absence means that it is not to be adopted. */
    readonly facts?: RebuildFacts;
  }[];
  /** False when it was taken before its agent knew of this epoch; absence means true. */
  readonly ofEpoch?: boolean;
}

/** What an agent knows of a task that the store may have lost (S6). */
export interface RebuildFacts {
  readonly key: string;
  /** SHA-256 of the submission, 32 bytes. */
  readonly digest: Uint8Array;
  readonly queue: string;
  readonly lane: string;
  readonly slotCost: number;
  readonly onLost: OnLost;
  /** Absence of these means that the deployment decides. */
  readonly onCut?: "CONTINUE" | "ABORT";
  readonly lostAfterMs?: number;
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
      inventories.map(({ agent, session, sequence, entries, ofEpoch }) => [
        agent,
        session,
        sequence,
        entries.map(({ id, attempt, state, facts }) =>
          facts === undefined ? [id, attempt, state] : [id, attempt, state, packFacts(facts)],
        ),
        ofEpoch === false ? 0 : 1,
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

function packFacts({ key, digest, queue, lane, ...policies }: RebuildFacts) {
  const { slotCost, onLost, onCut, lostAfterMs } = policies;
  const set: Record<string, string> = {};
  // In the form in which a submission is stored: what is usual is left out.
  if (slotCost !== 1) set.slotCost = String(slotCost);
  if (onLost !== "REQUEUE") set.onLost = onLost;
  if (onCut !== undefined) set.onCut = onCut;
  if (lostAfterMs !== undefined) set.lostAfterMs = String(lostAfterMs);
  return { key, digest: Buffer.from(digest).toString("hex"), queue, lane, set };
}

/** How a deployment stands after a failover, restore or wipe (D2). */
export const reviewQuarantine = taskFunction<
  TaskCall & { readonly most: number },
  | { readonly kind: "none" }
  | {
      readonly kind: "quarantine";
      /** Time that it lasts at least. */
      readonly leftMs: number;
      /** Agents that have not said yet what they hold. */
      readonly awaited: readonly string[];
    }
>({
  name: "review_quarantine_v1",
  args: ({ most }) => [most],
  parse: (reply) => {
    const [open, leftMs, awaited] = parseJson<[number, number, string[]]>(reply);
    return open === 0 ? { kind: "none" } : { kind: "quarantine", leftMs, awaited };
  },
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

export const withdrawOffers = taskFunction<
  TaskCall & {
    readonly agents: readonly {
      readonly agent: string;
      readonly session: string;
      readonly reason: string;
    }[];
  },
  { readonly kind: "withdrawn"; readonly attempts: readonly HeldAttempt[] }
>({
  name: "withdraw_offers_v1",
  args: ({ agents }) => [
    JSON.stringify(agents.map(({ agent, session, reason }) => [agent, session, reason])),
  ],
  parse: (reply) => ({ kind: "withdrawn", attempts: readHeld(reply) }),
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
  acknowledges: true,
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
