// SPDX-License-Identifier: Apache-2.0
// Reads a task's log as bytes, going on at the right byte after every break.

import type { AttemptId } from "@remex/proto/common/v1";
import type { RemexClient } from "./remex-client.ts";
import { type ResumeOptions, resumedStream } from "./resumed-stream.ts";

export interface ReadTaskLogOptions extends Omit<ResumeOptions, "pacing"> {
  readonly deployment: string;
  /** Id of the task. */
  readonly task: string;
  /** Default: the current or last attempt. */
  readonly attempt?: Pick<AttemptId, "epoch" | "number">;
  /** First byte wanted; default 0. */
  readonly offset?: bigint;
  /** True to go on until the attempt has ended. */
  readonly follow?: boolean;
}

export interface TaskLogPart {
  /** Offset of `data`; beyond the end of the part before when bytes in between are gone. */
  readonly offset: bigint;
  /** Untrusted output of the task. */
  readonly data: Uint8Array;
  /** True in the last part of a complete log. */
  readonly complete: boolean;
}

/** Ends when the log is read, with `follow` when the attempt has ended. */
export async function* readTaskLog(
  client: RemexClient,
  options: ReadTaskLogOptions,
): AsyncGenerator<TaskLogPart, void, undefined> {
  const { deployment, task, attempt, follow = false } = options;
  let offset = options.offset ?? 0n;
  const parts = resumedStream(
    (signal) =>
      client.agents.readTaskLog(
        { deployment, task, offset, follow, ...(attempt === undefined ? {} : { attempt }) },
        { signal },
      ),
    { endsByItself: true },
    { ...options, pacing: client.pacing },
  );
  for await (const part of parts) {
    const end = part.offset + BigInt(part.data.length);
    if (end < offset || (end === offset && !part.complete)) continue;
    // A repeated beginning is cut off, so that no byte is given twice.
    const begin = part.offset < offset ? offset : part.offset;
    const data = part.data.subarray(Number(begin - part.offset));
    offset = end;
    yield { offset: begin, data, complete: part.complete };
    if (part.complete) return;
  }
}
