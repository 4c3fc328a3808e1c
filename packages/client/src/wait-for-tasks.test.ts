// SPDX-License-Identifier: Apache-2.0
// Proves that watching and waiting survive broken streams, silence, lost history and vanished tasks.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import {
  type TaskSchema,
  TaskService,
  TaskState,
  type WatchTasksResponseSchema,
} from "@remex/proto/scheduler/v1";
import { describe, expect, test } from "vitest";
import { createFakePacing } from "./fake-pacing.ts";
import { createRemexClient } from "./remex-client.ts";
import { waitForTasks } from "./wait-for-tasks.ts";
import { watchTasks } from "./watch-tasks.ts";

type Frame = MessageInitShape<typeof WatchTasksResponseSchema>;
type Stream = (signal: AbortSignal) => AsyncIterable<Frame>;

/** A scheduler whose streams are scripted one by one; the store is read as it stands. */
function scripted(streams: Stream[], store: Record<string, TaskState>) {
  const cursors: string[] = [];
  const reads: string[][] = [];
  const pacing = createFakePacing();
  const transport = createRouterTransport((router) => {
    router.service(TaskService, {
      listTaskChanges: () => ({ cursor: "begin" }),
      batchGetTasks: ({ tasks }) => {
        reads.push([...tasks]);
        const found = tasks.flatMap((task): MessageInitShape<typeof TaskSchema>[] => {
          const state = store[task];
          return state === undefined ? [] : [{ task, state }];
        });
        return { tasks: found };
      },
      async *watchTasks({ cursor }, { signal }) {
        cursors.push(cursor);
        const next = streams.shift();
        if (next === undefined) throw new ConnectError("no more streams", Code.Internal);
        yield* next(signal);
      },
    });
  });
  return { client: createRemexClient(transport, { pacing }), cursors, reads, pacing };
}

const changed = (cursor: string, task: string, state: TaskState): Frame => ({
  cursor,
  changes: [{ task, state }],
});

async function* of(...frames: Frame[]): AsyncIterable<Frame> {
  yield* frames;
}

/** Stays open and silent until its caller leaves. */
const forever = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(new ConnectError("left", Code.Canceled)));
  });

const deployment = "a";

describe("watchTasks", () => {
  test("a broken stream is resumed after the last change that was seen", async () => {
    const { client, cursors } = scripted(
      [
        async function* () {
          yield changed("1", "t_1", TaskState.ASSIGNED);
          yield { cursor: "2", changes: [] };
          throw new ConnectError("going away", Code.Unavailable);
        },
        () => of(changed("3", "t_1", TaskState.SUCCEEDED)),
      ],
      {},
    );
    const seen: string[] = [];
    for await (const history of watchTasks(client, { deployment })) {
      seen.push(history.cursor);
      if (history.cursor === "3") break;
    }
    expect(seen).toEqual(["begin", "1", "3"]);
    expect(cursors).toEqual(["begin", "2"]);
  });

  test("a stream that falls silent counts as broken", async () => {
    const { client, cursors, pacing } = scripted(
      [
        async function* (signal) {
          yield changed("1", "t_1", TaskState.ASSIGNED);
          yield await forever(signal);
        },
        () => of(changed("2", "t_1", TaskState.SUCCEEDED)),
      ],
      {},
    );
    const troubles: string[] = [];
    const onTrouble = (error: Error) => troubles.push(error.message);
    for await (const { cursor } of watchTasks(client, { deployment, onTrouble })) {
      if (cursor === "1") setImmediate(() => pacing.endLongWaits());
      if (cursor === "2") break;
    }
    expect(cursors).toEqual(["begin", "1"]);
    expect(troubles).toEqual(["the stream fell silent"]);
  });

  test("an error that no repetition helps ends the watch", async () => {
    const { client } = scripted([], {});
    const watch = async () => {
      for await (const _ of watchTasks(client, { deployment }));
    };
    await expect(watch()).rejects.toMatchObject({ code: "call_failed" });
  });

  test("trouble that lasts longer than the caller allows ends the watch", async () => {
    const failing: Stream = async function* () {
      yield* [];
      throw new ConnectError("away", Code.Unavailable);
    };
    const { client, cursors } = scripted(Array(50).fill(failing), {});
    const watch = async () => {
      for await (const _ of watchTasks(client, { deployment, giveUpAfterMs: 10_000 }));
    };
    await expect(watch()).rejects.toMatchObject({ code: "gateway_unreachable" });
    expect(cursors.length).toBeLessThan(12);
  });

  test("an aborted signal ends the watch without an error", async () => {
    const abort = new AbortController();
    const { client } = scripted(
      [
        async function* (signal) {
          yield changed("1", "t_1", TaskState.QUEUED);
          yield await forever(signal);
        },
      ],
      {},
    );
    for await (const { cursor } of watchTasks(client, { deployment, signal: abort.signal })) {
      if (cursor === "1") abort.abort();
    }
    expect(abort.signal.aborted).toBe(true);
  });
});

describe("waitForTasks", () => {
  test("a task that had ended before the watch began is not waited for", async () => {
    const store = { t_1: TaskState.SUCCEEDED };
    const { client, cursors } = scripted([], store);
    const ended = await waitForTasks(client, { deployment, tasks: ["t_1"] });
    expect(ended.get("t_1")?.state).toBe(TaskState.SUCCEEDED);
    expect(cursors).toEqual([]);
  });

  test("each change is told, and the tasks are read as they ended", async () => {
    const store: Record<string, TaskState> = { t_1: TaskState.QUEUED, t_2: TaskState.QUEUED };
    const { client } = scripted(
      [
        async function* () {
          yield changed("1", "t_1", TaskState.ASSIGNED);
          yield changed("2", "t_9", TaskState.FAILED);
          store.t_1 = TaskState.SUCCEEDED;
          yield changed("3", "t_1", TaskState.SUCCEEDED);
          store.t_2 = TaskState.FAILED;
          yield changed("4", "t_2", TaskState.FAILED);
        },
      ],
      store,
    );
    const told: string[] = [];
    const ended = await waitForTasks(client, {
      deployment,
      tasks: ["t_1", "t_2"],
      onChange: ({ task, state }) => told.push(`${task} ${TaskState[state]}`),
    });
    expect(told).toEqual(["t_1 ASSIGNED", "t_1 SUCCEEDED", "t_2 FAILED"]);
    expect([...ended.values()].map(({ state }) => state)).toEqual([
      TaskState.SUCCEEDED,
      TaskState.FAILED,
    ]);
  });

  test("PROTOCOL-D2: after CURSOR_RESET the tasks are read anew, so no end is missed", async () => {
    const store: Record<string, TaskState> = { t_1: TaskState.QUEUED };
    const { client, reads } = scripted(
      [
        async function* () {
          yield changed("1", "t_1", TaskState.ASSIGNED);
          throw new ConnectError("restarting", Code.Unavailable);
        },
        () => {
          store.t_1 = TaskState.SUCCEEDED;
          return of({ cursor: "new", changes: [], cursorReset: true });
        },
      ],
      store,
    );
    const ended = await waitForTasks(client, { deployment, tasks: ["t_1"] });
    expect(ended.get("t_1")?.state).toBe(TaskState.SUCCEEDED);
    expect(reads).toEqual([["t_1"], ["t_1"]]);
  });

  test("PROTOCOL-D2 R32: a task that the store has lost is waited for while its agent may bring it back", async () => {
    let looks = 0;
    let lost = false;
    // Its agent brings t_1 back at the tenth look; nobody brings t_2.
    const brought = () => {
      looks += lost ? 1 : 0;
      if (!lost || looks >= 20) return lost ? TaskState.SUCCEEDED : TaskState.ASSIGNED;
      return looks < 10 ? undefined : TaskState.ASSIGNED;
    };
    const store = Object.defineProperties({} as Record<string, TaskState>, {
      t_1: { get: brought },
      t_2: { get: () => (lost ? undefined : TaskState.QUEUED) },
    });
    const { client, reads } = scripted(
      [
        async function* () {
          lost = true;
          yield { cursor: "new", changes: [], cursorReset: true };
        },
      ],
      store,
    );
    const ended = await waitForTasks(client, { deployment, tasks: ["t_1", "t_2"] });
    expect(ended.get("t_1")?.state).toBe(TaskState.SUCCEEDED);
    expect(ended.has("t_2")).toBe(false);
    // One look a second, for a minute.
    expect(reads.length).toBeGreaterThan(55);
  });

  test("a task that is not there is left out of the answer", async () => {
    const { client } = scripted([], {});
    const ended = await waitForTasks(client, { deployment, tasks: ["t_gone"] });
    expect(ended.size).toBe(0);
  });

  test("many tasks are read in calls of a thousand", async () => {
    const tasks = Array.from({ length: 2_500 }, (_, index) => `t_${index}`);
    const store = Object.fromEntries(tasks.map((task) => [task, TaskState.SUCCEEDED]));
    const { client, reads } = scripted([], store);
    const ended = await waitForTasks(client, { deployment, tasks });
    expect(ended.size).toBe(2_500);
    expect(reads.map((ids) => ids.length)).toEqual([1_000, 1_000, 500]);
  });
});
