// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import {
  AttemptState,
  type InventoryEntry,
  InventoryEntrySchema,
  InventorySchema,
  InventoryVerdict,
  ReportVerdict,
} from "@remex/proto/agent/v1";
import { TaskState } from "@remex/proto/scheduler/v1";
import { createDeploymentStore, ensureEpoch } from "@remex/store";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { inventoryItem, readInventory } from "./inventory-wire.ts";
import { type FarAgent, type SchedulerWorld, startScheduler, until } from "./scheduler-test-kit.ts";
import { deployment, type StoreWorld, settings, startStoreWorld } from "./store-test-kit.ts";
import { taskIdOf } from "./submission.ts";

let store: StoreWorld;
beforeAll(async () => {
  store = await startStoreWorld();
});
afterAll(() => store.stop());

const digest = createHash("sha256").update("x").digest();

describe("a scheduler in a new epoch", () => {
  let world: SchedulerWorld;
  let firstEpoch: string;
  beforeEach(async () => {
    await store.reset();
    world = await startScheduler(store);
    firstEpoch = store.store.epoch.current();
    return () => world.stop();
  });

  /** The store is wiped, and in effect again in its next epoch. */
  async function wipe(): Promise<bigint> {
    await store.redis.commands.flushall();
    await ensureEpoch(store.redis.commands, store.store.epoch);
    await createDeploymentStore(store.store).project({ ...settings, createdEpoch: firstEpoch });
    return BigInt(store.store.epoch.current());
  }

  function sayHeld(agent: FarAgent, epochSeen: bigint, entries: readonly InventoryEntry[]): void {
    const value = { sequence: 50n, entries: [...entries], epochSeen };
    agent.say({ event: { case: "inventory", value } });
  }

  /** The store is another server with the same data, as after a failover. */
  async function failOver(): Promise<bigint> {
    await store.redis.commands.hset("rmx:global:server", "runId", "another");
    const epoch = await ensureEpoch(store.redis.commands, store.store.epoch);
    await createDeploymentStore(store.store).project({ ...settings, createdEpoch: firstEpoch });
    expect(Number(epoch)).toBeGreaterThan(Number(firstEpoch));
    return BigInt(epoch);
  }

  test("PROTOCOL-D2: it asks who is attached what they hold, naming the epoch, and offers again when time and answers allow", async () => {
    const agent = await world.agent("a1");
    await world.openSession("a2");
    const epoch = await failOver();
    await world.submit({ key: "later" });
    await world.scheduler.sweepOnce();
    const request = await agent.next("inventoryRequest");
    expect(request).toMatchObject({ reason: "epoch_changed", epoch });
    sayHeld(agent, epoch, []);
    await agent.next("inventoryAnswer", 2);
    store.nowMs += settings.limitMs;
    const beaten = { beatAtMs: store.nowMs, health: "HEALTHY" };
    await store.redis.commands.hset(`rmx:{${deployment}}:session:a1`, beaten);
    await world.scheduler.sweepOnce();
    // a2 lives and has not said a word.
    expect(agent.all("offer")).toEqual([]);
    await store.redis.commands.zrem(`rmx:{${deployment}}:leases`, "a2");
    // It was found unfit just now, and is asked for again a moment later.
    await until("an offer", async () => {
      await world.scheduler.sweepOnce();
      return agent.all("offer")[0];
    });
  });

  test("PROTOCOL-D2: an agent whose inventory is of the former epoch is asked until it has said it anew", async () => {
    const agent = await world.agent("a1");
    const [task = ""] = await world.submit({ key: "held" });
    const offer = await agent.next("offer");
    agent.accept(offer);
    await agent.next("confirm");
    const epoch = await failOver();
    await world.scheduler.sweepOnce();
    expect(await agent.next("inventoryRequest")).toMatchObject({ reason: "epoch_changed", epoch });
    const entry = create(InventoryEntrySchema, {
      task,
      attempt: offer.attempt ?? {},
      state: AttemptState.STARTED,
    });
    const answered = agent.all("inventoryAnswer").length;
    sayHeld(agent, BigInt(firstEpoch), [entry]);
    await agent.next("inventoryAnswer", answered + 1);
    const review = () => world.tasks.reviewQuarantine({ deployment, most: 10 });
    expect(await review()).toMatchObject({ awaited: ["a1"] });
    agent.report(offer);
    expect(await agent.next("reportAnswer")).toMatchObject({ verdict: ReportVerdict.RETRY });
    sayHeld(agent, epoch, [entry]);
    await until("its word", async () => {
      const reviewed = await review();
      return reviewed.kind === "quarantine" && reviewed.awaited.length === 0 ? true : undefined;
    });
    store.nowMs += settings.limitMs;
    await world.scheduler.sweepOnce();
    agent.report(offer);
    expect(await agent.next("reportAnswer", 2)).toMatchObject({ verdict: ReportVerdict.ACCEPTED });
  });

  test("R32, PROTOCOL-S6: what an agent brings back is rebuilt under its attempt, and its kept result is taken", async () => {
    const agent = await world.agent("a1");
    const [task = ""] = await world.submit({ key: "brought" });
    const offer = await agent.next("offer");
    agent.accept(offer);
    await agent.next("confirm");
    const epoch = await wipe();
    const back = await world.agent("a1");
    const entry = create(InventoryEntrySchema, {
      task,
      attempt: offer.attempt ?? {},
      state: AttemptState.ENDED,
      idempotencyKey: offer.idempotencyKey,
      payloadDigest: offer.payloadDigest,
      queue: "default",
      slotCost: 1,
    });
    sayHeld(back, epoch, [entry]);
    const answer = await back.next("inventoryAnswer", 2);
    expect(answer.verdicts).toMatchObject([{ task, verdict: InventoryVerdict.REPORT }]);
    const read = await world.client.getTask({ deployment, task });
    expect(read.task).toMatchObject({ state: TaskState.ASSIGNED, idempotencyKey: "brought" });
    expect(read.task?.attempt?.attempt).toEqual(offer.attempt);
    await world.scheduler.sweepOnce();
    store.nowMs += settings.limitMs;
    await world.scheduler.sweepOnce();
    back.report(offer);
    expect(await back.next("reportAnswer")).toMatchObject({ verdict: ReportVerdict.ACCEPTED });
  });

  test("PROTOCOL-D6: in the moment in which a wiped store is not in effect again, submissions are told to come back", async () => {
    await world.submit({ key: "before" });
    await store.redis.commands.flushall();
    await expect(world.submit({ key: "after" })).rejects.toThrow(/not in effect/);
  });
});

describe("what an inventory may rebuild", () => {
  const context = { deployment, epoch: "200", queues: ["default"] };
  const key = "some key";
  const entry = {
    task: taskIdOf(deployment, key),
    attempt: { epoch: 100n, number: 3n },
    state: AttemptState.STARTED,
    idempotencyKey: key,
    payloadDigest: digest,
    queue: "default",
  };
  const itemOf = (change: object, inventory: object = {}) => {
    const message = create(InventorySchema, {
      entries: [{ ...entry, ...change }],
      epochSeen: 200n,
      ...inventory,
    });
    const said = readInventory(message);
    if (said === undefined) throw new Error("malformed");
    return inventoryItem({ agent: "a1", session: "200.1" }, said, context);
  };
  const facts = (change: object) => itemOf(change).entries[0]?.facts;

  test("PROTOCOL-S6: an attempt of an older epoch, under the id that its key gives", () => {
    expect(facts({})).toMatchObject({ key, queue: "default", slotCost: 1, onLost: "REQUEUE" });
  });

  test("PROTOCOL-I7, I18: nothing of this epoch, no task that is not the key's, no queue that is not the agent's", () => {
    expect(facts({ attempt: { epoch: 200n, number: 3n } })).toBeUndefined();
    expect(facts({ task: taskIdOf(deployment, "another") })).toBeUndefined();
    expect(facts({ task: taskIdOf("elsewhere", key) })).toBeUndefined();
    expect(facts({ queue: "gpu" })).toBeUndefined();
    expect(facts({ payloadDigest: new Uint8Array(3) })).toBeUndefined();
    expect(facts({ idempotencyKey: "" })).toBeUndefined();
  });

  test("PROTOCOL-D2: it counts when its agent knew the epoch, or holds nothing that could still start", () => {
    expect(itemOf({}).ofEpoch).toBe(true);
    expect(itemOf({}, { epochSeen: 100n }).ofEpoch).toBe(false);
    expect(itemOf({}, { epochSeen: 0n }).ofEpoch).toBe(true);
    const accepted = { state: AttemptState.ACCEPTED };
    expect(itemOf(accepted, { epochSeen: 0n }).ofEpoch).toBe(false);
  });
});
