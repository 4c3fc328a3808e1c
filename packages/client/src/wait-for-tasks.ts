// SPDX-License-Identifier: Apache-2.0
// Waits until tasks have ended, by one watch for all of them.

import { type Task, type TaskChange, TaskState } from "@remex/proto/scheduler/v1";
import { pause } from "./pacing.ts";
import type { RemexClient } from "./remex-client.ts";
import { type WatchTasksOptions, watchTasks } from "./watch-tasks.ts";

const mostPerRead = 1_000;
/** After a loss of the store agents bring their tasks back within a few heartbeats; so long it is waited for. */
const bringBackMs = 60_000;
const lookAgainMs = 1_000;

const terminalStates: ReadonlySet<TaskState> = new Set([
  TaskState.SUCCEEDED,
  TaskState.FAILED,
  TaskState.CANCELED,
]);

/** True when a task in this state changes no more. */
export function isTerminal(state: TaskState): boolean {
  return terminalStates.has(state);
}

export interface WaitForTasksOptions extends WatchTasksOptions {
  /** Ids of the tasks. */
  readonly tasks: readonly string[];
  /** Told about each change of these tasks, as it is heard of. */
  readonly onChange?: (change: TaskChange) => void;
}

/**
 * Resolves with every task as it ended, by id. A task that is not there (any more) is left out; after a loss of
 * the store (CURSOR_RESET) its agent may still bring it back, so it is waited for a while. When the signal is
 * aborted, what has ended so far is the answer.
 */
export async function waitForTasks(
  client: RemexClient,
  options: WaitForTasksOptions,
): Promise<ReadonlyMap<string, Task>> {
  const pending = new Set(options.tasks);
  const ended = new Map<string, Task>();
  /** Answers how many are not there; they are waited for no longer unless `keepMissing`. */
  const readPending = async (keepMissing: boolean) => {
    const found = await readTasks(client, options.deployment, [...pending]);
    let missing = 0;
    for (const id of pending) {
      const task = found.get(id);
      if (task === undefined) missing += 1;
      if (task === undefined ? keepMissing : !isTerminal(task.state)) continue;
      pending.delete(id);
      if (task !== undefined) ended.set(id, task);
    }
    return missing;
  };
  const readAfterLoss = async () => {
    const untilMs = client.pacing.nowMs() + bringBackMs;
    while ((await readPending(client.pacing.nowMs() < untilMs)) > 0) {
      if (pending.size === 0 || options.signal?.aborted) return;
      await pause(client.pacing, lookAgainMs, options.signal);
    }
  };
  if (pending.size === 0) return ended;
  let first = true;
  const finished = new Set<string>();
  for await (const history of watchTasks(client, options)) {
    // The watch has begun before the tasks are read, so that no end falls between the two.
    if (first) await readPending(false);
    else if (history.reset) await readAfterLoss();
    first = false;
    for (const change of history.changes) {
      if (!pending.has(change.task)) continue;
      options.onChange?.(change);
      if (!isTerminal(change.state)) continue;
      pending.delete(change.task);
      finished.add(change.task);
    }
    if (pending.size === 0) break;
  }
  const found = await readTasks(client, options.deployment, [...finished]);
  for (const [id, task] of found) ended.set(id, task);
  return ended;
}

async function readTasks(
  client: RemexClient,
  deployment: string,
  ids: readonly string[],
): Promise<Map<string, Task>> {
  const found = new Map<string, Task>();
  for (let from = 0; from < ids.length; from += mostPerRead) {
    const tasks = ids.slice(from, from + mostPerRead);
    const answer = await client.tasks.batchGetTasks({ deployment, tasks });
    for (const task of answer.tasks) found.set(task.task, task);
  }
  return found;
}
