// SPDX-License-Identifier: Apache-2.0
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { isRemexError } from "@remex/domain";
import { OnCut, OnLost, type TaskSpecSchema } from "@remex/proto/common/v1";
import { TaskState, type TaskSubmissionSchema } from "@remex/proto/scheduler/v1";
import { StoreUnavailable } from "@remex/store";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type SchedulerWorld, startScheduler, until } from "./scheduler-test-kit.ts";
import { deployment, ready, type StoreWorld, startStoreWorld } from "./store-test-kit.ts";

let store: StoreWorld;
let world: SchedulerWorld;
beforeAll(async () => {
  store = await startStoreWorld();
});
beforeEach(async () => {
  await store.reset({ maxSlotCost: 10, maxPayloadBytes: 1_000, maxQueued: 20 });
  world = await startScheduler(store);
});
afterEach(() => world.stop());
afterAll(() => store.stop());

type Spec = MessageInitShape<typeof TaskSpecSchema>;
const noop = { case: "noop" as const, value: {} };
const timer = (ms: number) => ({
  trigger: { case: "timer" as const, value: { after: durationFromMs(ms) } },
});
interface TriggerFields {
  readonly runtime?: string;
  readonly payload?: Uint8Array;
  readonly secretPayload?: Uint8Array;
  readonly builtin?: ReturnType<typeof timer>;
}
const trigger = ({ builtin = timer(1_000), ...fields }: TriggerFields = {}) => ({
  work: { case: "trigger" as const, value: { builtin, ...fields } },
});
const submit = async (...tasks: MessageInitShape<typeof TaskSubmissionSchema>[]) =>
  (await world.client.submitTasks({ deployment, tasks })).results;
const codeOf = (error: unknown): unknown => (isRemexError(error) ? error.code : error);

describe("bad input has its own refusal, and nothing of it is queued", () => {
  const env = { A: "x".repeat(2_000) };
  const many = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, "v"]));
  const airflow = { workloadJson: "", workloadToken: "" };
  const cases: [string, string, Spec][] = [
    ["no work", "runtime_unknown", {}],
    ["a bundle", "runtime_unknown", { work: { case: "bundle", value: {} } }],
    ["a trigger of another runtime", "runtime_unknown", trigger({ runtime: "airflow" })],
    ["a trigger with nothing in it", "argument_invalid", { work: { case: "trigger", value: {} } }],
    ["a trigger with a payload", "argument_invalid", trigger({ payload: new Uint8Array(1) })],
    [
      "a trigger with odd secrets",
      "argument_invalid",
      trigger({ secretPayload: Buffer.from("x") }),
    ],
    ["a timer of nothing", "argument_invalid", trigger({ builtin: timer(0) })],
    ["a trigger that goes on", "argument_invalid", { ...trigger(), onCut: OnCut.CONTINUE }],
    ["a trigger that is not taken over", "argument_invalid", { ...trigger(), onLost: OnLost.FAIL }],
    ["a held trigger", "argument_invalid", { ...trigger(), lostAfter: durationFromMs(1_000) }],
    ["an empty command", "command_empty", { work: { case: "command", value: { argv: [] } } }],
    ["an empty program", "command_empty", { work: { case: "command", value: { argv: [""] } } }],
    ["an empty workload", "argument_invalid", { work: { case: "airflow", value: airflow } }],
    ["a slot cost over the limit", "slot_cost_too_large", { work: noop, slotCost: 11 }],
    [
      "a payload over the limit",
      "payload_too_large",
      { work: { case: "command", value: { argv: ["x"], env } } },
    ],
    ["an unknown queue", "queue_unknown", { work: noop, queue: "nowhere" }],
    ["a malformed queue", "queue_name_invalid", { work: noop, queue: "no where" }],
    ["too many labels", "labels_invalid", { work: noop, requiredLabels: many }],
    ["a label too long", "labels_invalid", { work: noop, requiredLabels: { a: "x".repeat(64) } }],
    ["too many annotations", "argument_invalid", { work: noop, annotations: many }],
    ["a timeout of nothing", "argument_invalid", { work: noop, timeout: durationFromMs(0) }],
    [
      "work held for longer than 30 days",
      "argument_invalid",
      { work: noop, lostAfter: durationFromMs(31 * 24 * 3_600_000) },
    ],
    ["too many retries", "argument_invalid", { work: noop, maxRetries: 1_001 }],
  ];
  test.each(cases)("%s: %s", async (_what, code, spec) => {
    const results = await submit({ spec }, { spec: { work: noop } });
    expect(results[0]).toMatchObject({ task: "", refusal: { code } });
    expect(results[1]?.refusal).toBeUndefined();
    const { tasks } = await world.client.listTasks({ deployment });
    expect(tasks).toHaveLength(1);
  });

  test("a key that is too long, a batch that is too large, a deployment that is unknown", async () => {
    const [result] = await submit({ idempotencyKey: "k".repeat(257), spec: { work: noop } });
    expect(result?.refusal?.code).toBe("idempotency_key_invalid");
    const batch = Array.from({ length: 1_001 }, () => ({ spec: { work: noop } }));
    expect(codeOf(await submit(...batch).catch((error) => error))).toBe("batch_too_large");
    const unknown = world.client.submitTasks({
      deployment: "nowhere",
      tasks: [{ spec: { work: noop } }],
    });
    expect(codeOf(await unknown.catch((error) => error))).toBe("deployment_unknown");
  });

  test("more than may be queued is refused item by item", async () => {
    const results = await submit(...Array.from({ length: 21 }, () => ({ spec: { work: noop } })));
    expect(results.map(({ refusal }) => refusal?.code).filter(Boolean)).toEqual(["tasks_limit"]);
    expect(results[20]?.refusal?.retryable).toBe(true);
  });
});

describe("PROTOCOL-S6: a key names one task", () => {
  const workload = (token: string, json = "{}") => ({
    idempotencyKey: "ti-1",
    spec: {
      work: { case: "airflow" as const, value: { workloadJson: json, workloadToken: token } },
    },
  });

  test("the same task comes back, also within one batch; another body is refused", async () => {
    const [first, second] = await submit(
      { idempotencyKey: "a", spec: { work: noop, annotations: { x: "1", y: "2" } } },
      { idempotencyKey: "a", spec: { work: noop, annotations: { y: "2", x: "1" } } },
    );
    expect(first).toMatchObject({ existing: false, state: TaskState.QUEUED });
    expect(second).toMatchObject({ existing: true, task: first?.task });
    const [other] = await submit({ idempotencyKey: "a", spec: { work: noop, priority: 1 } });
    expect(other?.refusal?.code).toBe("idempotency_conflict");
  });

  test("credentials are no part of the body, and are replaced while the task is queued", async () => {
    await submit(workload("old"));
    const [again] = await submit(workload("new"));
    expect(again?.existing).toBe(true);
    expect((await submit(workload("new", "{1}")))[0]?.refusal?.code).toBe("idempotency_conflict");
    const { task } = await world.client.getTask({
      deployment,
      task: again?.task ?? "",
      withWork: true,
    });
    expect(task?.spec?.work.value).toMatchObject({ workloadJson: "{}", workloadToken: "" });
    const agent = await world.agent("a1", { runtimes: ["airflow"] });
    const offer = await agent.next("offer");
    expect(offer.spec?.work.value).toMatchObject({ workloadToken: "new" });
  });

  test("a task that was trimmed is still known by its key", async () => {
    await store.reset({ maxEnded: 0 });
    const [first] = await submit({ idempotencyKey: "a", spec: { work: noop } });
    await world.client.cancelTasks({ deployment, idempotencyKeys: ["a"] });
    await world.scheduler.slowOnce();
    const gone = world.client.getTask({ deployment, task: first?.task ?? "" });
    expect(codeOf(await gone.catch((error) => error))).toBe("task_unknown");
    const [again] = await submit({ idempotencyKey: "a", spec: { work: noop } });
    expect(again).toMatchObject({ existing: true, task: first?.task, state: TaskState.CANCELED });
    expect((await world.client.listTasks({ deployment })).tasks).toHaveLength(0);
  });
});

describe("lists and histories", () => {
  test("tasks are listed newest first, page by page, by state, queue and agent", async () => {
    const keys = ["a", "b", "c", "d", "e"];
    await submit(
      ...keys.map((idempotencyKey, i) => ({
        idempotencyKey,
        spec: { work: noop, queue: i % 2 === 0 ? "gpu" : "" },
      })),
    );
    const one = await world.client.listTasks({ deployment, pageSize: 2 });
    expect(one.tasks.map(({ idempotencyKey }) => idempotencyKey)).toEqual(["e", "d"]);
    const { nextPageToken: pageToken } = one;
    const two = await world.client.listTasks({ deployment, pageSize: 3, pageToken });
    expect(two.tasks.map(({ idempotencyKey }) => idempotencyKey)).toEqual(["c", "b", "a"]);
    expect(two.nextPageToken).toBe("");
    const gpu = await world.client.listTasks({ deployment, queue: "gpu" });
    expect(gpu.tasks.map(({ idempotencyKey }) => idempotencyKey)).toEqual(["e", "c", "a"]);
    const agent = await world.agent("a1", { slots: 1, queues: ["gpu"] });
    await agent.next("offer");
    const states = [TaskState.ASSIGNED];
    const held = await world.client.listTasks({ deployment, states, agent: "a1" });
    expect(held.tasks.map(({ idempotencyKey }) => idempotencyKey)).toEqual(["a"]);
    const bad = world.client.listTasks({ deployment, pageToken: "x" });
    expect(codeOf(await bad.catch((error) => error))).toBe("cursor_invalid");
  });

  test("a read waits for the next change, and its cursor resumes within a batch", async () => {
    const { cursor } = await world.client.listTaskChanges({ deployment });
    const wait = durationFromMs(5_000);
    const waiting = world.client.listTaskChanges({ deployment, cursor, wait, limit: 2 });
    await submit({ idempotencyKey: "a", spec: { work: noop } }, ...["b", "c"].map(named));
    const first = await waiting;
    expect(first.changes.map(({ idempotencyKey }) => idempotencyKey)).toEqual(["a", "b"]);
    const rest = await world.client.listTaskChanges({ deployment, cursor: first.cursor });
    expect(rest.changes.map(({ idempotencyKey }) => idempotencyKey)).toEqual(["c"]);
  });

  const named = (idempotencyKey: string) => ({ idempotencyKey, spec: { work: noop } });

  test("a watch follows the history, from a cursor on", async () => {
    const { cursor } = await world.client.listTaskChanges({ deployment });
    await submit(named("a"));
    const stop = new AbortController();
    const seen: string[] = [];
    const watching = (async () => {
      const frames = world.client.watchTasks({ deployment, cursor }, { signal: stop.signal });
      for await (const { changes } of frames) {
        seen.push(...changes.map(({ idempotencyKey }) => idempotencyKey));
        if (seen.length === 2) stop.abort();
      }
    })().catch(() => undefined);
    await until("the first change", () => (seen.length === 1 ? true : undefined));
    await submit(named("b"));
    await watching;
    expect(seen).toEqual(["a", "b"]);
  });

  test("PROTOCOL-D2: a cursor of another epoch or of a lost history is answered with a reset", async () => {
    await submit(named("a"));
    const { cursor } = await world.client.listTaskChanges({ deployment });
    const [epoch] = cursor.split(".");
    const foreign = cursor.replace(epoch ?? "", String(Number(epoch) - 1));
    const reset = await world.client.listTaskChanges({ deployment, cursor: foreign });
    expect(reset).toMatchObject({ cursorReset: true, changes: [], cursor });
    await submit(named("b"));
    await world.tasks.trim({ deployment, most: 10, mostChanges: 0 });
    const lost = await world.client.listTaskChanges({ deployment, cursor });
    expect(lost.cursorReset).toBe(true);
    const bad = world.client.listTaskChanges({ deployment, cursor: "x" });
    expect(codeOf(await bad.catch((error) => error))).toBe("cursor_invalid");
  });
});

describe("several schedulers, and a store that goes away", () => {
  test("PROTOCOL-S8: two schedulers over one store never over-offer", async () => {
    await store.reset({ maxQueued: 10_000 });
    const other = await startScheduler(store, "scheduler-2");
    try {
      // The worst case: both believe that they serve the same agent.
      const agent = await world.agent("a1", { slots: 5 });
      const twin = other.twin(agent);
      const specs = Array.from({ length: 40 }, () => ({}));
      await Promise.all([world.submit(...specs), other.submit(...specs)]);
      await Promise.all([world.scheduler.sweepOnce(), other.scheduler.sweepOnce()]);
      await until("offers", () => (offersOf(agent, twin).length >= 5 ? true : undefined));
      await Promise.all([world.scheduler.sweepOnce(), other.scheduler.sweepOnce()]);
      const offers = offersOf(agent, twin);
      expect(offers).toHaveLength(5);
      expect(new Set(offers.map(({ task }) => task)).size).toBe(5);
    } finally {
      other.stop();
    }
  });

  const offersOf = (...agents: Awaited<ReturnType<SchedulerWorld["agent"]>>[]) =>
    agents.flatMap((agent) => agent.all("offer"));

  test("PROTOCOL-D4: without the store reports are put off, nothing is confirmed, and it recovers by itself", async () => {
    const agent = await world.agent("a1");
    await world.submit({}, {});
    const [first, second] = [await agent.next("offer"), await agent.next("offer", 2)];
    agent.accept(first);
    await agent.next("confirm");
    await store.server.kill();
    agent.report(first);
    agent.accept(second);
    expect((await agent.next("reportAnswer")).reason).toBe("store_away");
    expect(agent.all("confirm")).toHaveLength(1);
    expect(world.scheduler.problems()).toContain("the store does not answer");
    const refused = await world.submit({}).catch((error) => error);
    expect(codeOf(refused)).toBe("store_unavailable");
    expect(refused.cause).toBeInstanceOf(StoreUnavailable);
    await store.server.start();
    await ready(store.redis.commands);
    await agent.next("confirm", 2);
    agent.report(first);
    expect((await agent.next("reportAnswer", 2)).reason).toBe("");
    await world.scheduler.sweepOnce();
    expect(world.scheduler.problems()).not.toContain("the store does not answer");
  });
});
