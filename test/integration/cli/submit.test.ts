// SPDX-License-Identifier: Apache-2.0
// `remex tasks submit` and `cancel` against scripted answers: what is sent, what is shown, how it ends.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { OnLost, OutcomeKind } from "@remex/proto/common/v1";
import {
  AttemptStage,
  type SubmitTasksRequest,
  type TaskSchema,
  TaskState,
} from "@remex/proto/scheduler/v1";
import { describe, expect, test } from "vitest";
import { createTempDir } from "../../kit/places.ts";
import { type RemexOptions, runRemex } from "../../kit/remex-command.ts";
import { type StubAnswers, type StubGateway, startStubGateway } from "../../kit/stub-gateway.ts";
import { waitFor } from "../../kit/wait.ts";

const attempt = { epoch: 1_794_000_000n, number: 7n };
const taken = { state: TaskState.QUEUED, existing: false };

/** Takes every submission, and says of each task what the test says. */
function taking(more: StubAnswers["tasks"] = {}): StubAnswers {
  return {
    tasks: {
      submitTasks: ({ tasks }) => ({
        results: tasks.map((_, index) => ({ ...taken, task: `t_${index + 1}` })),
      }),
      ...more,
    },
  };
}

async function run(gateway: StubGateway, args: string[], options: RemexOptions = {}) {
  return runRemex(args, { gateway, ...options });
}

function submitted(gateway: StubGateway): SubmitTasksRequest[] {
  return gateway.calls.flatMap(({ method, request }) =>
    method === "SubmitTasks" ? [request as SubmitTasksRequest] : [],
  );
}

describe("what is sent", () => {
  test.concurrent("every option of a command", async ({ expect }) => {
    await using gateway = await startStubGateway(taking());
    const options =
      "--queue gpu --env A=1 --env B=x=y --cwd /srv --timeout 10m --priority -3 --key k-1 " +
      "--slot-cost 2 --label zone=eu --label disk=ssd --on-lost fail --max-retries 4";
    const args = ["--deployment", "lab", "tasks", "submit", ...options.split(" ")];
    const done = await run(gateway, [...args, "--", "ls", "-l", "--", "a b"]);
    expect(done.exitCode, done.stderr).toBe(0);
    const [request] = submitted(gateway);
    expect(request?.deployment).toBe("lab");
    expect(request?.tasks).toHaveLength(1);
    expect(request?.tasks[0]).toMatchObject({
      idempotencyKey: "k-1",
      spec: {
        queue: "gpu",
        requiredLabels: { zone: "eu", disk: "ssd" },
        priority: -3,
        slotCost: 2,
        onLost: OnLost.FAIL,
        maxRetries: 4,
        timeout: { seconds: 600n },
        work: {
          case: "command",
          value: { argv: ["ls", "-l", "--", "a b"], env: { A: "1", B: "x=y" }, cwd: "/srv" },
        },
      },
    });
    expect(done.stdout).toMatchInlineSnapshot(`
      "TASK  STATE
      t_1   queued
      "
    `);
    expect(done.stderr).toBe("next: remex tasks logs t_1 --deployment lab --follow\n");
  });

  test.concurrent.each([
    ["timer --after 5s", { case: "timer", value: { after: { seconds: 5n }, times: 0 } }],
    [
      "timer --every 500ms --times 3",
      { case: "timer", value: { every: { nanos: 500_000_000 }, times: 3 } },
    ],
    [
      "http --poll-url http://h/r --expect-status 200,204 --expect-body ok --header a=b --every 2s",
      {
        case: "http",
        value: {
          url: "http://h/r",
          expectStatuses: [200, 204],
          expectBody: "ok",
          headers: { a: "b" },
          every: { seconds: 2n },
        },
      },
    ],
    ["file --path /data/done", { case: "file", value: { path: "/data/done" } }],
  ])("R1: a trigger: %s", async (options, trigger) => {
    await using gateway = await startStubGateway(taking());
    const args = ["--deployment", "lab", "tasks", "submit", "--trigger", ...options.split(" ")];
    const done = await run(gateway, args);
    expect(done.exitCode, done.stderr).toBe(0);
    expect(submitted(gateway)[0]?.tasks[0]?.spec?.work).toMatchObject({
      case: "trigger",
      value: { builtin: { trigger } },
    });
    expect(done.stderr).toBe("next: remex tasks events t_1 --deployment lab\n");
  });

  test.concurrent("secret headers of a trigger come from a file", async ({ expect }) => {
    await using gateway = await startStubGateway(taking());
    await using folder = await createTempDir();
    const file = join(folder.path, "headers.json");
    await writeFile(file, '{"authorization":"s3cret"}');
    const http = ["--trigger", "http", "--poll-url", "http://h/", "--secret-headers", file];
    const done = await run(gateway, ["tasks", "submit", ...http]);
    expect(done.exitCode, done.stderr).toBe(0);
    const work = submitted(gateway)[0]?.tasks[0]?.spec?.work;
    const secret = work?.case === "trigger" ? work.value.secretPayload : new Uint8Array();
    expect(Buffer.from(secret).toString()).toBe('{"authorization":"s3cret"}');
  });

  test.concurrent.each([
    ["--trigger timer --path /x", "--path is not for timer triggers"],
    ["--trigger http", "http triggers need --poll-url"],
    ["--trigger file", "file triggers need --path"],
    ["--after 5s -- true", "--after is for triggers"],
    ["--trigger timer --after soon", '--after: "soon" is not a duration'],
    ["--trigger timer --after 5s -- true", "a trigger has no command"],
    ["--trigger clock", "Allowed choices are timer, http, file"],
    ["--trigger http --poll-url http://h/ --secret-headers /no/such", "--secret-headers"],
    ["--trigger timer --after 5s --file batch.yaml", "--file excludes"],
  ])("a trigger that cannot be: %s", async (options, problem) => {
    await using gateway = await startStubGateway(taking());
    const done = await run(gateway, ["tasks", "submit", ...options.split(" ")]);
    expect(done.exitCode).toBe(2);
    expect(done.stderr).toContain(problem);
    expect(submitted(gateway)).toHaveLength(0);
  });

  test.concurrent("triggers of a batch file", async ({ expect }) => {
    await using gateway = await startStubGateway(taking());
    const input =
      "- trigger: timer\n  after: 5s\n- trigger: http\n  url: http://h/\n  headers: { a: 1 }\n";
    const done = await run(gateway, ["tasks", "submit", "--file", "-"], { input });
    expect(done.exitCode, done.stderr).toBe(0);
    expect(submitted(gateway)[0]?.tasks.map(({ spec }) => spec?.work)).toMatchObject([
      { case: "trigger", value: { builtin: { trigger: { case: "timer" } } } },
      { value: { builtin: { trigger: { case: "http", value: { headers: { a: "1" } } } } } },
    ]);
  });

  test.concurrent("a random key, so that a repeated call queues the task once", async ({
    expect,
  }) => {
    let calls = 0;
    await using gateway = await startStubGateway(
      taking({
        submitTasks: () => {
          calls += 1;
          if (calls === 1) throw new ConnectError("restarting", Code.Unavailable);
          return { results: [{ ...taken, task: "t_1" }] };
        },
      }),
    );
    const done = await run(gateway, ["tasks", "submit", "--noop", "-o", "json"]);
    expect(JSON.parse(done.stdout)).toEqual({
      task: "t_1",
      existing: false,
      state: "TASK_STATE_QUEUED",
    });
    const keys = submitted(gateway).map(({ tasks }) => tasks[0]?.idempotencyKey);
    expect(keys).toHaveLength(2);
    expect(keys[0]).toMatch(/^cli-[0-9a-f-]{36}$/);
    expect(keys[1]).toBe(keys[0]);
  });

  test.concurrent("a batch from a file, with the options as its defaults", async ({ expect }) => {
    await using gateway = await startStubGateway(taking());
    const input = `
- command: [echo, 1, true]
  env: { N: 2 }
- noop: true
  queue: fast
  key: mine
  timeout: 5s
`;
    const args = ["tasks", "submit", "--file", "-", "--queue", "slow", "--env", "M=3"];
    const done = await run(gateway, [...args, "-o", "json"], { input });
    expect(done.exitCode, done.stderr).toBe(0);
    expect(JSON.parse(done.stdout)).toHaveLength(2);
    expect(submitted(gateway)[0]?.tasks).toMatchObject([
      {
        spec: {
          queue: "slow",
          work: {
            case: "command",
            value: { argv: ["echo", "1", "true"], env: { M: "3", N: "2" } },
          },
        },
      },
      { idempotencyKey: "mine", spec: { queue: "fast", work: { case: "noop" } } },
    ]);
  });

  test.concurrent("a batch of thousands in calls of a thousand", async ({ expect }) => {
    await using gateway = await startStubGateway(taking());
    const input = JSON.stringify({ tasks: Array(2_500).fill({ noop: true }) });
    const done = await run(gateway, ["tasks", "submit", "--file", "-", "-o", "json"], { input });
    expect(JSON.parse(done.stdout)).toHaveLength(2_500);
    expect(submitted(gateway).map(({ tasks }) => tasks.length)).toEqual([1_000, 1_000, 500]);
  });

  test.concurrent("nothing, when the batch has mistakes: all of them are named", async ({
    expect,
  }) => {
    await using gateway = await startStubGateway(taking());
    const input = "- command: echo hi\n- noop: true\n  retries: 3\n  slotCost: two\n- 7\n";
    const done = await run(gateway, ["tasks", "submit", "--file", "-"], { input });
    expect(done.exitCode).toBe(2);
    expect(done.stderr).toMatchInlineSnapshot(`
      "error: standard input: task 1: command must be a list of words, like ["sh", "-c", "echo hello"]: no shell takes it apart; task 2: there is no field retries; task 2: slotCost must be a whole number; task 3 must be a map
      hint: each task may have command, noop, queue, env, cwd, timeout, priority, key, slotCost, labels, onLost, onCut, lostAfter, maxRetries, trigger, after, every, times, url, headers, expectStatus, expectBody, requestTimeout, path
      "
    `);
    expect(gateway.calls).toEqual([]);
  });
});

describe("refusals", () => {
  const refused = {
    refusal: { code: "queue_unknown", message: "there is no queue nope in deployment default" },
  };

  test.concurrent("of the one task end the command with their code", async ({ expect }) => {
    await using gateway = await startStubGateway(
      taking({ submitTasks: () => ({ results: [refused] }) }),
    );
    const done = await run(gateway, ["tasks", "submit", "--noop"]);
    expect(done).toEqual({
      exitCode: 5,
      stdout: "",
      stderr: "error: there is no queue nope in deployment default\n",
    });
  });

  test.concurrent("of a batch's item are shown beside what was taken", async ({ expect }) => {
    const results = [{ ...taken, task: "t_1", existing: true }, refused];
    await using gateway = await startStubGateway(taking({ submitTasks: () => ({ results }) }));
    const input = "[{ noop: true }, { noop: true, queue: nope }]";
    const done = await run(gateway, ["tasks", "submit", "--file", "-"], { input });
    expect(done.exitCode).toBe(1);
    expect(done.stdout).toMatchInlineSnapshot(`
      "TASK  STATE
      t_1   queued   was there before
      -     refused
      "
    `);
    expect(done.stderr).toMatchInlineSnapshot(`
      "task 2 of standard input:
      error: there is no queue nope in deployment default
      next: remex tasks list
      "
    `);
  });

  test.concurrent("of a cancel are told one by one", async ({ expect }) => {
    const cancelTasks = () => ({
      results: [
        { task: "t_1", state: TaskState.CANCELED },
        { task: "t_2", refusal: { code: "task_unknown", message: "there is no task t_2" } },
      ],
    });
    await using gateway = await startStubGateway({ tasks: { cancelTasks } });
    const done = await run(gateway, ["tasks", "cancel", "t_1", "t_2"]);
    expect(done.exitCode).toBe(5);
    expect(done.stdout).toMatchInlineSnapshot(`
      "TASK  STATE
      t_1   canceled
      "
    `);
    expect(done.stderr).toMatchInlineSnapshot(`
      "error: there is no task t_2
      hint: \`remex tasks list\` shows the tasks
      "
    `);
  });
});

/** A scheduler under which each task runs on a1 and ends in the state that is given. */
function ending(states: Record<string, TaskState>): StubAnswers {
  const ended: Record<string, MessageInitShape<typeof TaskSchema>> = {};
  return taking({
    listTaskChanges: () => ({ cursor: "0" }),
    batchGetTasks: ({ tasks }) => ({ tasks: tasks.flatMap((task) => ended[task] ?? []) }),
    async *watchTasks() {
      for (const [task, state] of Object.entries(states)) {
        const running = {
          task,
          state: TaskState.ASSIGNED,
          stage: AttemptStage.STARTED,
          agent: "a1",
        };
        yield { cursor: "1", changes: [running] };
        const failed = state === TaskState.FAILED;
        const kind = failed ? OutcomeKind.FAILED : OutcomeKind.SUCCEEDED;
        const exitCode = failed ? 3 : 0;
        ended[task] = {
          task,
          state,
          attempts: 1,
          attempt: { attempt, agent: "a1", outcome: { kind, exitCode } },
        };
        yield { cursor: "2", changes: [{ task, state, exitCode, agent: "a1" }] };
      }
      await new Promise(() => undefined);
    },
  });
}

/** A task must be found as queued by the first read, else it is taken for gone. */
function waitable(states: Record<string, TaskState>): StubAnswers {
  const answers = ending(states);
  const inner = answers.tasks?.batchGetTasks;
  let first = true;
  return {
    tasks: {
      ...answers.tasks,
      batchGetTasks: (request, context) => {
        const queued = request.tasks.map((task) => ({ task, state: TaskState.QUEUED }));
        if (!first) return inner?.(request, context) ?? {};
        first = false;
        return { tasks: queued };
      },
    },
  };
}

describe("--wait", () => {
  const wait = ["tasks", "submit", "--wait", "--", "true"];

  test.concurrent("shows each change and ends with 0 when the task succeeded", async ({
    expect,
  }) => {
    await using gateway = await startStubGateway(waitable({ t_1: TaskState.SUCCEEDED }));
    const done = await run(gateway, wait);
    expect(done.exitCode, done.stderr).toBe(0);
    expect(done.stdout).toMatchInlineSnapshot(`
      "TASK  QUEUE    STATE      AGENT  ATTEMPTS  RUN TIME  AGE  REASON
      t_1   default  succeeded  a1     1         -         -    -
      "
    `);
    expect(done.stderr).toMatchInlineSnapshot(`
      "t_1: running on a1
      t_1: succeeded
      "
    `);
  });

  test.concurrent("ends with 6 when the task failed", async ({ expect }) => {
    await using gateway = await startStubGateway(waitable({ t_1: TaskState.FAILED }));
    const done = await run(gateway, wait);
    expect(done.exitCode).toBe(6);
    expect(done.stdout).toMatchInlineSnapshot(`
      "TASK  QUEUE    STATE   AGENT  ATTEMPTS  RUN TIME  AGE  REASON
      t_1   default  failed  a1     1         -         -    exit code 3
      "
    `);
    expect(done.stderr).toMatchInlineSnapshot(`
      "t_1: running on a1
      t_1: failed (exit code 3)
      next: read what it wrote: remex tasks logs t_1
      "
    `);
  });

  test.concurrent("ends with 6 when one of many did not succeed, and -o json holds them all", async ({
    expect,
  }) => {
    const states = { t_1: TaskState.SUCCEEDED, t_2: TaskState.CANCELED };
    await using gateway = await startStubGateway(waitable(states));
    const input = "[{ noop: true }, { noop: true }]";
    const args = ["tasks", "submit", "--wait", "--file", "-", "-o", "json"];
    const done = await run(gateway, args, { input });
    expect(done.exitCode).toBe(6);
    const shown = JSON.parse(done.stdout).map((each: { state: string }) => each.state);
    expect(shown).toEqual(["TASK_STATE_SUCCEEDED", "TASK_STATE_CANCELED"]);
  });

  test.concurrent("Ctrl-C ends the waiting, not the task", async ({ expect }) => {
    await using gateway = await startStubGateway(waitable({}));
    const done = await run(gateway, wait, {
      onStart: (child) => {
        const watching = () => gateway.calls.some(({ method }) => method === "WatchTasks");
        void waitFor(watching, { what: "the watch" }).then(() => child.kill("SIGINT"));
      },
    });
    expect(done).toEqual({
      exitCode: 130,
      stdout: "",
      stderr:
        "no longer waiting; the task goes on\nnext: end them with: remex tasks cancel TASK...\n",
    });
  });
});
