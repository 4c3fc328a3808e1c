// SPDX-License-Identifier: Apache-2.0
// TaskService: convert in, ask the store, convert out.

import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { type Failure, failureOf, parseDeploymentId, RemexError, remexError } from "@remex/domain";
import {
  CancelResultSchema,
  ListTaskChangesResponseSchema,
  type SubmitResult,
  SubmitResultSchema,
  type TaskService,
  TaskState,
  WatchTasksResponseSchema,
} from "@remex/proto/scheduler/v1";
import type { Clock } from "@remex/runtime";
import {
  type CancelAnswer,
  type HeldAttempt,
  type SessionRecord,
  StoreUnavailable,
  type SubmitAnswer,
  type SubmitItem,
  type TaskRefused,
  type TaskRow,
  type TaskStore,
} from "@remex/store";
import { errorDetailOf } from "@remex/transport";
import type { ChangeFeed, ChangePage } from "./change-feed.ts";
import { explainTask } from "./explanation.ts";
import { readSubmission, taskIdOf } from "./submission.ts";
import { changeOfRow, eventOfRow, stateNumber, stateWord, taskOfRow } from "./task-wire.ts";

export interface TaskHandlersDeps {
  readonly tasks: TaskStore;
  /** Joins the submissions of a turn; answers "refused" when the deployment is not in effect. */
  submit(
    deployment: string,
    items: readonly SubmitItem[],
  ): Promise<readonly SubmitAnswer[] | "refused">;
  readonly feed: ChangeFeed;
  listDeployments(): Promise<readonly string[]>;
  /** Every agent of a deployment, the ones that are away too. */
  listAgents(deployment: string): Promise<readonly SessionRecord[]>;
  /** Passes cancels on to the agents that are attached here. */
  onCanceled(deployment: string, answers: readonly CancelAnswer[]): void;
  readonly clock: Clock;
}

const mostItems = 1_000;
const defaultPage = 100;
const mostLooked = 2_000;
const defaultChanges = 1_000;
const mostChanges = 10_000;
/** An answer with events ends after so many bytes of them. */
const mostEventBytes = 1_048_576;
const longestWaitMs = 30_000;
/** An empty answer of a watch comes at least this often. */
const watchSignMs = 10_000;
/** A watch that has just answered gathers for so long before the next answer. */
const watchGatherMs = 10;

export function createTaskHandlers(deps: TaskHandlersDeps): ServiceImpl<typeof TaskService> {
  const { tasks, feed, clock } = deps;

  /** Deployments that were in effect once: a wiped store lists none until they are again (D6). */
  const served = new Set<string>();

  async function notInEffect(deployment: string): Promise<RemexError> {
    const known = await deps.listDeployments();
    return known.includes(deployment) || served.has(deployment)
      ? remexError("settings_not_in_effect", { deployment })
      : remexError("deployment_unknown", { deployment });
  }

  /** Runs a handler with our errors turned into Connect's. */
  async function answering<Answer>(
    deployment: string,
    run: () => Promise<Answer>,
  ): Promise<Answer> {
    try {
      const slug = parseDeploymentId(deployment);
      if (!slug.ok) throw new RemexError(slug.failure);
      return await run();
    } catch (error) {
      throw edgeError(error);
    }
  }

  async function inEffect<Reply extends { kind: string }>(
    deployment: string,
    calling: Promise<Reply | TaskRefused>,
  ): Promise<Exclude<Reply, TaskRefused>> {
    const reply = await calling;
    if (reply.kind === "refused") throw await notInEffect(deployment);
    served.add(deployment);
    return reply as Exclude<Reply, TaskRefused>;
  }

  async function rowsOf(deployment: string, ids: readonly string[]): Promise<TaskRow[]> {
    const { rows } = await inEffect(deployment, tasks.get({ deployment, ids }));
    return rows.filter((row) => row !== undefined);
  }

  async function readPage(deployment: string, cursor: string, limit: number): Promise<ChangePage> {
    return inEffect<ChangePage>(deployment, feed.read(deployment, cursor, limit));
  }

  return {
    submitTasks: ({ deployment, tasks: submissions }) =>
      answering(deployment, async () => {
        checkBatch(submissions.length);
        const read = submissions.map((submission) => readSubmission(deployment, submission));
        const items = read.flatMap((item) => (item.ok ? [item.value] : []));
        const answers = items.length === 0 ? [] : await deps.submit(deployment, items);
        if (answers === "refused") throw await notInEffect(deployment);
        served.add(deployment);
        let at = 0;
        const results = read.map((item) =>
          item.ok
            ? submitResult(deployment, item.value, answers[at++])
            : create(SubmitResultSchema, { refusal: errorDetailOf(item.failure) }),
        );
        return { results };
      }),

    getTask: ({ deployment, task, withWork }) =>
      answering(deployment, async () => {
        const [row] = await rowsOf(deployment, [task]);
        if (row === undefined) throw remexError("task_unknown", { task, deployment });
        return { task: taskOfRow(deployment, row, withWork) };
      }),

    batchGetTasks: ({ deployment, tasks: ids, idempotencyKeys }) =>
      answering(deployment, async () => {
        checkBatch(ids.length + idempotencyKeys.length);
        const wanted = [...ids, ...idempotencyKeys.map((key) => taskIdOf(deployment, key))];
        const rows = await rowsOf(deployment, wanted);
        return { tasks: rows.map((row) => taskOfRow(deployment, row, false)) };
      }),

    explainTask: ({ deployment, task }) =>
      answering(deployment, async () => {
        const agents = await deps.listAgents(deployment);
        const names = agents.map(({ agent }) => agent);
        const found = await inEffect(
          deployment,
          tasks.explain({ deployment, id: task, agents: names }),
        );
        if (found.kind === "unknown") throw remexError("task_unknown", { task, deployment });
        return {
          task: taskOfRow(deployment, found.row, false),
          explanations: explainTask(found, agents).map(({ agents: named, ...rest }) => ({
            ...rest,
            agents: [...named],
          })),
        };
      }),

    listTasks: (request) =>
      answering(request.deployment, async () => {
        const { deployment, queue, agent } = request;
        const below = pageBegin(request.pageToken);
        const page = await inEffect(
          deployment,
          tasks.list({
            deployment,
            below,
            most: Math.min(request.pageSize || defaultPage, mostItems),
            look: mostLooked,
            states: request.states.map(stateWord).filter((state) => state !== undefined),
            queue,
            agent,
          }),
        );
        return {
          tasks: page.rows.map((row) => taskOfRow(deployment, row, false)),
          nextPageToken: page.below === undefined ? "" : String(page.below),
        };
      }),

    listTaskChanges: ({ deployment, cursor, limit, wait }, context) =>
      answering(deployment, async () => {
        const most = Math.min(limit || defaultChanges, mostChanges);
        const waitMs = Math.min(wait === undefined ? 0 : durationMs(wait), longestWaitMs);
        const until = clock.nowMs() + waitMs;
        let page = await readPage(deployment, cursor, most);
        while (cursor !== "" && page.changes.length === 0 && !page.reset) {
          const leftMs = until - clock.nowMs();
          if (leftMs <= 0 || context.signal.aborted) break;
          await feed.changed(deployment, page, leftMs, context.signal);
          page = await readPage(deployment, page.cursor, most);
        }
        return create(ListTaskChangesResponseSchema, pageMessage(page));
      }),

    async *watchTasks({ deployment, cursor: from }, { signal }) {
      let cursor = from;
      let saidAtMs = Number.NEGATIVE_INFINITY;
      while (!signal.aborted) {
        const page = await answering(deployment, () =>
          readPage(deployment, cursor, defaultChanges),
        );
        const news = page.changes.length > 0 || page.reset || cursor === "";
        cursor = page.cursor;
        if (news || clock.nowMs() - saidAtMs >= watchSignMs) {
          saidAtMs = clock.nowMs();
          yield create(WatchTasksResponseSchema, pageMessage(page));
        }
        if (page.changes.length === defaultChanges) continue;
        await feed.changed(deployment, page, watchSignMs, signal);
        if (news) await gather(clock);
      }
    },

    listTriggerEvents: ({ deployment, task, after, limit }) =>
      answering(deployment, async () => {
        const read = await inEffect(
          deployment,
          tasks.listEvents({
            deployment,
            id: task,
            after: Number(after),
            most: Math.min(limit || defaultPage, mostItems),
            mostBytes: mostEventBytes,
          }),
        );
        if (read.kind === "unknown") throw remexError("task_unknown", { task, deployment });
        return { events: read.events.map(eventOfRow), total: BigInt(read.total) };
      }),

    cancelTasks: ({ deployment, tasks: ids, idempotencyKeys }) =>
      answering(deployment, async () => {
        checkBatch(ids.length + idempotencyKeys.length);
        const wanted = [...ids, ...idempotencyKeys.map((key) => taskIdOf(deployment, key))];
        const calling = tasks.cancel({ deployment, ids: wanted });
        const { answers } = await inEffect(deployment, calling);
        deps.onCanceled(deployment, answers);
        return { results: answers.map((answer, i) => cancelResult(deployment, wanted[i], answer)) };
      }),
  };
}

function gather(clock: Clock): Promise<void> {
  return new Promise((resolve) => clock.after(watchGatherMs, resolve));
}

function checkBatch(items: number): void {
  if (items > mostItems) throw remexError("batch_too_large", { items, limit: mostItems });
}

function pageBegin(token: string): number | undefined {
  if (token === "") return undefined;
  const below = Number(token);
  if (!Number.isSafeInteger(below) || below < 0) throw remexError("cursor_invalid");
  return below;
}

function pageMessage(page: ChangePage) {
  return {
    changes: page.changes.map(changeOfRow),
    cursor: page.cursor,
    cursorReset: page.reset,
  };
}

function submitResult(
  deployment: string,
  item: SubmitItem,
  answer: SubmitAnswer | undefined,
): SubmitResult {
  if (answer === undefined) throw new Error("the store gave too few answers to a submission");
  switch (answer.kind) {
    case "queued":
      // Built by hand: this is hot.
      return {
        $typeName: "remex.scheduler.v1.SubmitResult",
        task: item.id,
        existing: false,
        state: TaskState.QUEUED,
      };
    case "existing": {
      const state = stateNumber(answer.state);
      return create(SubmitResultSchema, { task: item.id, existing: true, state });
    }
    default: {
      const refusal = errorDetailOf(submitRefusal(deployment, item, answer));
      return create(SubmitResultSchema, { refusal });
    }
  }
}

function submitRefusal(
  deployment: string,
  item: SubmitItem,
  answer: Exclude<SubmitAnswer, { kind: "queued" | "existing" }>,
): Failure {
  switch (answer.kind) {
    case "conflict":
      return failureOf("idempotency_conflict", { key: item.key, task: item.id });
    case "queue_unknown":
      return failureOf("queue_unknown", { queue: item.queue, deployment });
    case "slot_cost_too_large": {
      const { limit } = answer;
      return failureOf("slot_cost_too_large", { slotCost: item.slotCost, limit, deployment });
    }
    case "payload_too_large": {
      const { limit } = answer;
      return failureOf("payload_too_large", { bytes: item.payloadBytes, limit, deployment });
    }
    case "tasks_limit":
      return failureOf("tasks_limit", { deployment, limit: answer.limit });
    default:
      return answer satisfies never;
  }
}

function cancelResult(deployment: string, task = "", answer: CancelAnswer) {
  if (answer.state === "") {
    const refusal = errorDetailOf(failureOf("task_unknown", { task, deployment }));
    return create(CancelResultSchema, { task, refusal });
  }
  return create(CancelResultSchema, { task, state: stateNumber(answer.state) });
}

/** What a caller is told; anything unforeseen passes as it is and becomes "internal" at the edge. */
function edgeError(error: unknown): unknown {
  if (error instanceof StoreUnavailable) {
    return remexError("store_unavailable", {}, { cause: error });
  }
  return error;
}

/** Attempts that somebody must be told about, of cancel answers. */
export function toldAttempts(answers: readonly CancelAnswer[]): {
  readonly cancel: readonly HeldAttempt[];
  readonly withdraw: readonly HeldAttempt[];
} {
  const cancel: HeldAttempt[] = [];
  const withdraw: HeldAttempt[] = [];
  for (const { state, tell } of answers) {
    if (tell === undefined) continue;
    (state === "ASSIGNED" ? cancel : withdraw).push(tell);
  }
  return { cancel, withdraw };
}
