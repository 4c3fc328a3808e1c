// SPDX-License-Identifier: Apache-2.0
// Follows the history of a deployment's tasks by cursor, across broken streams and new epochs of the store.

import type { TaskChange } from "@remex/proto/scheduler/v1";
import type { RemexClient } from "./remex-client.ts";
import { type ResumeOptions, resumedStream } from "./resumed-stream.ts";

/** The service sends a frame at least every 10 s. */
const silenceMs = 30_000;

export interface WatchTasksOptions extends Omit<ResumeOptions, "pacing"> {
  readonly deployment: string;
  /** Cursor after which changes are wanted; absence means from now on. */
  readonly cursor?: string;
}

export interface TaskHistory {
  /** In order; empty in the first one, which says where the watch begins. */
  readonly changes: readonly TaskChange[];
  /** Where to resume after these changes. */
  readonly cursor: string;
  /**
   * True when changes before these are lost to the reader (CURSOR_RESET): whatever it waits for must be
   * read anew.
   */
  readonly reset: boolean;
}

/** Never ends by itself: leave the loop, or abort the signal. */
export async function* watchTasks(
  client: RemexClient,
  options: WatchTasksOptions,
): AsyncGenerator<TaskHistory, void, undefined> {
  const { deployment } = options;
  // Without a cursor a broken stream could not be resumed before its first frame.
  let cursor = options.cursor ?? "";
  if (cursor === "") {
    const { signal } = options;
    const answer = await client.tasks.listTaskChanges({ deployment }, signal ? { signal } : {});
    cursor = answer.cursor;
  }
  yield { changes: [], cursor, reset: false };
  const frames = resumedStream(
    (signal) => client.tasks.watchTasks({ deployment, cursor }, { signal }),
    { silenceMs, endsByItself: false },
    { ...options, pacing: client.pacing },
  );
  for await (const frame of frames) {
    if (frame.cursor !== "") cursor = frame.cursor;
    if (frame.changes.length > 0 || frame.cursorReset) {
      yield { changes: frame.changes, cursor, reset: frame.cursorReset };
    }
  }
}
