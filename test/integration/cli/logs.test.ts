// SPDX-License-Identifier: Apache-2.0
// `remex tasks logs` against scripted answers: what is shown of a log, and when it ends.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ReadTaskLogResponseSchema } from "@remex/proto/registry/v1";
import { AttemptStage, TaskState } from "@remex/proto/scheduler/v1";
import { describe, test } from "vitest";
import { runRemex } from "../../kit/remex-command.ts";
import { type StubAnswers, type StubGateway, startStubGateway } from "../../kit/stub-gateway.ts";

const attempt = { epoch: 1_794_000_000n, number: 7n };

const run = (gateway: StubGateway, args: string[]) => runRemex(args, { gateway });

describe("logs", () => {
  const started = { attempt, agent: "a1", stage: AttemptStage.STARTED, startedAt: { seconds: 1n } };
  const bytes = (text: string) => new TextEncoder().encode(text);
  type Part = MessageInitShape<typeof ReadTaskLogResponseSchema>;

  function logging(parts: Part[], state = TaskState.SUCCEEDED): StubAnswers {
    return {
      tasks: { getTask: ({ task }) => ({ task: { task, state, attempt: started } }) },
      agents: {
        async *readTaskLog() {
          yield* parts;
        },
      },
    };
  }

  const colours = bytes("one\r\n\u001b[31mtwo\u0007\tend \u00e4\n");
  const split = [
    { offset: 0n, data: colours.subarray(0, -2) },
    { offset: BigInt(colours.length - 2), data: colours.subarray(-2), complete: true },
  ];

  test.concurrent("SEC-E2: keep their lines, not their control characters", async ({ expect }) => {
    await using gateway = await startStubGateway(logging(split));
    const done = await run(gateway, ["tasks", "logs", "t_1"]);
    expect(done).toEqual({
      exitCode: 0,
      stdout: "one\n\\x1b[31mtwo\\x07\tend \u00e4\n",
      stderr: "",
    });
  });

  test.concurrent("--raw gives the bytes as they are", async ({ expect }) => {
    await using gateway = await startStubGateway(logging(split));
    const done = await run(gateway, ["tasks", "logs", "t_1", "--raw"]);
    expect(done.stdout).toBe(new TextDecoder().decode(colours));
  });

  test.concurrent("that may go on say so", async ({ expect }) => {
    const part = { offset: 0n, data: bytes("so far\n") };
    await using gateway = await startStubGateway(logging([part], TaskState.ASSIGNED));
    const done = await run(gateway, ["tasks", "logs", "t_1"]);
    expect(done.stderr).toBe("next: the log may go on: remex tasks logs t_1 --follow\n");
  });

  test.concurrent("of a task that never started are not there", async ({ expect }) => {
    const getTask = () => ({ task: { task: "t_1", state: TaskState.QUEUED } });
    await using gateway = await startStubGateway({ tasks: { getTask } });
    const done = await run(gateway, ["tasks", "logs", "t_1"]);
    expect(done).toEqual({
      exitCode: 5,
      stdout: "",
      stderr:
        "error: task t_1 was never started, so it has no log: it is queued\n" +
        "hint: wait for its start with --follow\n",
    });
  });

  test.concurrent("--follow waits for the start of a task", async ({ expect }) => {
    let reads = 0;
    const base = logging(split);
    await using gateway = await startStubGateway({
      ...base,
      tasks: {
        getTask: ({ task }) => {
          reads += 1;
          const queued = { task, state: TaskState.QUEUED };
          return { task: reads < 3 ? queued : { ...queued, attempt: started } };
        },
        listTaskChanges: () => ({ cursor: "0" }),
        async *watchTasks() {
          yield { cursor: "1", changes: [{ task: "t_1", state: TaskState.ASSIGNED }] };
          await new Promise(() => undefined);
        },
      },
    });
    const done = await run(gateway, ["tasks", "logs", "t_1", "--follow"]);
    expect(done.exitCode, done.stderr).toBe(0);
    expect(done.stdout).toContain("one\n");
    expect(done.stderr).toBe("t_1 has not started yet; waiting\n");
  });
});
