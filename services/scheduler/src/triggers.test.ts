// SPDX-License-Identifier: Apache-2.0
// Proves how the scheduler deals with triggers: who is offered them, and what becomes of their events.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { AgentKind, type BuiltinTriggerSchema, OnCut } from "@remex/proto/common/v1";
import { TaskState } from "@remex/proto/scheduler/v1";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FarAgent, type SchedulerWorld, startScheduler, until } from "./scheduler-test-kit.ts";
import { deployment, type StoreWorld, startStoreWorld } from "./store-test-kit.ts";

let store: StoreWorld;
let world: SchedulerWorld;
beforeAll(async () => {
  store = await startStoreWorld();
});
beforeEach(async () => {
  await store.reset();
  world = await startScheduler(store);
});
afterEach(() => world.stop());
afterAll(() => store.stop());

const everything = ["command", "noop", "airflow", "trigger_builtin"];
const triggerer = { kind: AgentKind.TRIGGERER, runtimes: everything };
const worker = { kind: AgentKind.WORKER, runtimes: everything };
const timer = { trigger: { case: "timer" as const, value: { after: durationFromMs(50) } } };

interface TriggerFields {
  readonly builtin?: MessageInitShape<typeof BuiltinTriggerSchema>;
  readonly secretPayload?: Uint8Array;
}

function trigger({ builtin = timer, ...fields }: TriggerFields = {}) {
  return { work: { case: "trigger" as const, value: { builtin, ...fields } } };
}

async function taken(agent: FarAgent, nth = 1) {
  const offer = await agent.next("offer", nth);
  agent.accept(offer);
  await agent.next("confirm", nth);
  agent.started(offer);
  return offer;
}

const eventsOf = async (task: string) =>
  (await world.client.listTriggerEvents({ deployment, task })).events.map(
    ({ number, agent, payload }) => `${agent} ${number} ${Buffer.from(payload)}`,
  );

describe("who is offered a trigger", () => {
  it("R1: a worker never gets a trigger, a triggerer never anything else, whatever their runners have", async () => {
    const works = await world.agent("w1", worker);
    const waits = await world.agent("t1", triggerer);
    const [command, timed] = await world.submit(
      { work: { case: "command", value: { argv: ["true"] } } },
      trigger(),
    );
    expect((await works.next("offer")).task).toBe(command);
    expect((await waits.next("offer")).task).toBe(timed);
    await world.scheduler.sweepOnce();
    expect(works.all("offer")).toHaveLength(1);
    expect(waits.all("offer")).toHaveLength(1);
  });

  it("R1: capabilities that change leave an agent what its kind is given", async () => {
    const waits = await world.agent("t1", { ...triggerer, offersAllowed: false });
    const [, timed] = await world.submit({}, trigger());
    waits.readmit(everything);
    expect((await waits.next("offer")).task).toBe(timed);
    await world.scheduler.sweepOnce();
    expect(waits.all("offer")).toHaveLength(1);
  });

  it("PROTOCOL-C5: a trigger is under ABORT, and is taken over a thousand times before it is given up", async () => {
    const waits = await world.agent("t1", triggerer);
    const [task = ""] = await world.submit(trigger());
    expect((await waits.next("offer")).spec?.onCut).toBe(OnCut.ABORT);
    const key = `rmx:{${deployment}}:task:${task}`;
    expect(await store.redis.commands.hget(key, "maxRecoveries")).toBe("1000");
  });

  it("secrets of a trigger reach its agent alone and are no part of the submission", async () => {
    const secret = (text: string) => ({
      key: "one",
      ...trigger({
        builtin: { trigger: { case: "http", value: { url: "http://host.test/" } } },
        secretPayload: Buffer.from(JSON.stringify({ authorization: text })),
      }),
    });
    const [task = ""] = await world.submit(secret("old"));
    expect(await world.submit(secret("new"))).toEqual([task]);
    const shown = await world.client.getTask({ deployment, task, withWork: true });
    expect(shown.task?.spec?.work.value).toMatchObject({ secretPayload: new Uint8Array() });
    expect(shown.task?.runtime).toBe("trigger_builtin");
    const waits = await world.agent("t1", triggerer);
    const { spec } = await waits.next("offer");
    if (spec?.work.case !== "trigger") throw new Error("no trigger");
    expect(Buffer.from(spec.work.value.secretPayload).toString()).toContain("new");
  });
});

describe("events of a trigger", () => {
  it("an event becomes durable, is answered, shown as a change and read by its task", async () => {
    const waits = await world.agent("t1", triggerer);
    const [task = ""] = await world.submit(trigger());
    const offer = await taken(waits);
    const { cursor } = await world.client.listTaskChanges({ deployment });
    waits.emit(offer, 1);
    const answer = await waits.next("triggerEventAnswer");
    expect(answer).toMatchObject({ task, attempt: offer.attempt, durableNumber: 1n });
    expect(answer.refusal).toBeUndefined();
    const { changes } = await world.client.listTaskChanges({ deployment, cursor });
    const event = changes.find(({ triggerEvent }) => triggerEvent > 0n);
    expect(event).toMatchObject({ task, triggerEvent: 1n, reason: "trigger_event", message: "" });
    expect(await eventsOf(task)).toEqual(["t1 1 event 1"]);
  });

  it("PROTOCOL-G3: a repeated event is answered as durable and there once", async () => {
    const waits = await world.agent("t1", triggerer);
    const [task = ""] = await world.submit(trigger());
    const offer = await taken(waits);
    waits.emit(offer, 1);
    waits.emit(offer, 1);
    waits.emit(offer, 2);
    await until("both", async () =>
      waits.all("triggerEventAnswer").some(({ durableNumber }) => durableNumber === 2n)
        ? true
        : undefined,
    );
    expect(await eventsOf(task)).toEqual(["t1 1 event 1", "t1 2 event 2"]);
  });

  it("PROTOCOL-I11: an event that comes without a lease is not answered, and taken once there is one", async () => {
    const waits = await world.agent("t1", triggerer);
    const [task = ""] = await world.submit(trigger());
    const offer = await taken(waits);
    const key = `rmx:{${deployment}}:session:t1`;
    const beatAtMs = (await store.redis.commands.hget(key, "beatAtMs")) ?? "";
    await store.redis.commands.hset(key, "beatAtMs", String(store.nowMs - 30_000));
    waits.emit(offer, 1);
    // The answer to what was said after it shows that it was judged.
    waits.report({ task: "t_nothing", attempt: offer.attempt });
    await waits.next("reportAnswer");
    expect(waits.all("triggerEventAnswer")).toHaveLength(0);
    expect(await eventsOf(task)).toEqual([]);
    await store.redis.commands.hset(key, "beatAtMs", beatAtMs);
    waits.emit(offer, 1);
    await waits.next("triggerEventAnswer");
    expect(await eventsOf(task)).toEqual(["t1 1 event 1"]);
  });

  it("R20 PROTOCOL-G3 C5: a failed triggerer's triggers are taken over at once, whatever lost_after is, at no cost in retries, and its events refused", async () => {
    await store.reset({ lostAfterMs: 300_000, onCut: "CONTINUE" });
    const waits = await world.agent("t1", triggerer);
    const [task = ""] = await world.submit(trigger());
    const offer = await taken(waits);
    waits.emit(offer, 1);
    await waits.next("triggerEventAnswer");
    await store.failSilent();
    const other = await world.agent("t2", triggerer);
    await world.scheduler.sweepOnce();
    const again = await taken(other);
    expect(again.task).toBe(task);
    waits.emit(offer, 2);
    const refused = await waits.next("triggerEventAnswer", 2);
    expect(refused.refusal?.code).toBe("trigger_event_stale");
    other.emit(again, 1, "anew");
    await other.next("triggerEventAnswer");
    expect(await eventsOf(task)).toEqual(["t1 1 event 1", "t2 1 anew"]);
    other.report(again);
    await other.next("reportAnswer");
    expect((await world.client.getTask({ deployment, task })).task).toMatchObject({
      state: TaskState.SUCCEEDED,
      retries: 0,
      recoveries: 1,
    });
  });

  it("events of a task that is not there are task_unknown", async () => {
    await expect(
      world.client.listTriggerEvents({ deployment, task: "t_nothing" }),
    ).rejects.toMatchObject({ code: "task_unknown" });
  });
});
