// SPDX-License-Identifier: Apache-2.0
// The task aggregate as services hold it; every call is one function of Redis and one atomic step.

import { readFunctionLibrary } from "../core/function-library.ts";
import type { Store, StoreFunction } from "../core/store.ts";
import type { TaskCall } from "./task-call.ts";
import { listTriggerEvents, noteTriggerEvents } from "./task-events.ts";
import { getTasks, listTasks, queueDepths, readAttempt, readChanges } from "./task-reads.ts";
import { explainTask } from "./task-explanation.ts";
import { clearRefused, readRefused } from "./task-refusals.ts";
import {
  cancelTasks,
  expireHolds,
  expireOffers,
  giveUpSession,
  listCancels,
  reconcileInventories,
  reviewQuarantine,
  withdrawOffers,
  trimEnded,
} from "./task-upkeep.ts";
import {
  claimTasks,
  confirmAttempts,
  declineAttempts,
  noteProgress,
  settleReports,
  submitTasks,
} from "./task-writes.ts";

/** The library of the task aggregate. */
export const taskLibrary = readFunctionLibrary("task", 1, new URL("./functions/", import.meta.url));

type Call<F> =
  F extends StoreFunction<infer Args, infer Reply>
    ? (args: Omit<Args, "now">) => Promise<Reply>
    : never;

/** Each call rejects with StoreUnavailable when Redis did not answer. All but claims are safe to repeat. */
export interface TaskStore {
  /** Idempotent by id and digest. */
  readonly submit: Call<typeof submitTasks>;
  /** Not to be repeated: each call offers more (D4). What an unanswered one offered expires. */
  readonly claim: Call<typeof claimTasks>;
  readonly confirm: Call<typeof confirmAttempts>;
  readonly noteProgress: Call<typeof noteProgress>;
  readonly decline: Call<typeof declineAttempts>;
  readonly settle: Call<typeof settleReports>;
  /** Takes open offers back from agents that are to get no work (O1). */
  readonly withdrawOffers: Call<typeof withdrawOffers>;
  readonly expireOffers: Call<typeof expireOffers>;
  readonly reconcile: Call<typeof reconcileInventories>;
  /** Whether offers are held back after a failover, restore or wipe; ends that when it is over (D2). */
  readonly reviewQuarantine: Call<typeof reviewQuarantine>;
  readonly giveUp: Call<typeof giveUpSession>;
  /** Gives held work up that is due (H1). */
  readonly expireHolds: Call<typeof expireHolds>;
  /** Refused reports that wait for the audit (C3). */
  readonly readRefused: Call<typeof readRefused>;
  readonly clearRefused: Call<typeof clearRefused>;
  readonly cancel: Call<typeof cancelTasks>;
  readonly listCancels: Call<typeof listCancels>;
  readonly noteEvents: Call<typeof noteTriggerEvents>;
  readonly listEvents: Call<typeof listTriggerEvents>;
  readonly get: Call<typeof getTasks>;
  /** A task and what keeps it from ending (S8). */
  readonly explain: Call<typeof explainTask>;
  readonly list: Call<typeof listTasks>;
  readonly readChanges: Call<typeof readChanges>;
  readonly readAttempt: Call<typeof readAttempt>;
  readonly depths: Call<typeof queueDepths>;
  readonly trim: Call<typeof trimEnded>;
}

/** Makes the task store; `now` stands for Redis TIME in tests. */
export function createTaskStore(store: Store, now: () => number | "" = () => ""): TaskStore {
  const bind =
    <Args extends TaskCall, Reply>(definition: StoreFunction<Args, Reply>) =>
    (args: Omit<Args, "now">): Promise<Reply> =>
      store.call(definition, { ...args, now: now() } as unknown as Args);
  return {
    submit: bind(submitTasks),
    claim: bind(claimTasks),
    confirm: bind(confirmAttempts),
    noteProgress: bind(noteProgress),
    decline: bind(declineAttempts),
    settle: bind(settleReports),
    withdrawOffers: bind(withdrawOffers),
    expireOffers: bind(expireOffers),
    reconcile: bind(reconcileInventories),
    reviewQuarantine: bind(reviewQuarantine),
    giveUp: bind(giveUpSession),
    expireHolds: bind(expireHolds),
    readRefused: bind(readRefused),
    clearRefused: bind(clearRefused),
    cancel: bind(cancelTasks),
    listCancels: bind(listCancels),
    noteEvents: bind(noteTriggerEvents),
    listEvents: bind(listTriggerEvents),
    get: bind(getTasks),
    explain: bind(explainTask),
    list: bind(listTasks),
    readChanges: bind(readChanges),
    readAttempt: bind(readAttempt),
    depths: bind(queueDepths),
    trim: bind(trimEnded),
  };
}
