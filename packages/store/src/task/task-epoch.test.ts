// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { configKey, deploymentTag } from "../core/keys.ts";
import {
  attemptOf,
  candidate,
  claim,
  confirm,
  deployment,
  epoch as firstEpoch,
  limitMs,
  report,
  settle,
  startTaskWorld,
  submission,
  type TaskWorld,
} from "./task-test-kit.ts";
import type { InventoryItem, RebuildFacts } from "./task-upkeep.ts";

const nextEpoch = String(Number(firstEpoch) + 100);
const leases = `${deploymentTag(deployment)}:leases`;
const item = submission("one");
const facts: RebuildFacts = {
  key: item.key,
  digest: item.digest,
  queue: "default",
  lane: "default",
  slotCost: 2,
  onLost: "REQUEUE",
};

describe("a new epoch", () => {
  let world: TaskWorld;
  beforeAll(async () => {
    world = await startTaskWorld();
  });
  beforeEach(async () => {
    world.store.epoch.set(firstEpoch);
    await world.reset({ createdEpoch: firstEpoch });
  });
  afterAll(() => world.stop());

  const redis = () => world.redis.commands;
  const rowOf = async (id: string) => {
    const tasks = await world.tasks.get({ deployment, ids: [id] });
    return tasks.kind === "tasks" ? tasks.rows[0] : undefined;
  };
  const slotsOf = (agent: string) =>
    redis().hget(`${deploymentTag(deployment)}:held:${agent}`, "slots");
  /** An agent with an open session, known as living. */
  const openAgent = async (agent: string, fields: Record<string, string> = {}) => {
    await redis().zadd(leases, world.now, agent);
    return world.setSession(agent, fields);
  };
  /** What a registry does when the store was found to be another one. */
  const beginEpoch = async (epoch = nextEpoch) => {
    world.store.epoch.set(epoch);
    await redis().hset(configKey(deployment), { epoch });
  };
  const wipe = async (epoch = nextEpoch) => {
    await world.reset({ createdEpoch: firstEpoch });
    await beginEpoch(epoch);
  };
  const review = () => world.tasks.reviewQuarantine({ deployment, most: 10 });
  const inventory = async (
    agent: string,
    session: string,
    entries: InventoryItem["entries"],
    ofEpoch = true,
  ) => {
    const inventories = [{ agent, session, sequence: 9, entries, ofEpoch }];
    const answered = await world.tasks.reconcile({ deployment, inventories });
    if (answered.kind === "refused") throw new Error(answered.reason);
    return answered.judgements[0]?.verdicts;
  };
  /** A task that runs on an agent, or was only offered to it. */
  const run = async (agent: string, session: string, stage: "OFFERED" | "STARTED" = "STARTED") => {
    await world.tasks.submit({ deployment, items: [item] });
    const { offers } = await claim(world, [candidate(agent, session)]);
    const named = { id: item.id, attempt: attemptOf(offers[0]!) };
    if (stage === "OFFERED") return named;
    await confirm(world, agent, session, [named]);
    await world.tasks.noteProgress({ deployment, notes: [{ agent, ...named, note: "" }] });
    return named;
  };
  /** Ends the quarantine: its time passes and everybody has said what it holds. */
  const untilOver = async () => {
    world.now += limitMs;
    expect(await review()).toEqual({ kind: "none" });
  };
  /** Offers that a claim for an agent brings now. */
  const offersTo = async (agent: string, session: string) => {
    await redis().hset(`${deploymentTag(deployment)}:session:${agent}`, { beatAtMs: world.now });
    return claim(world, [candidate(agent, session)]);
  };

  test("PROTOCOL-D2: no offer before the limit has passed and every living agent has said what it holds", async () => {
    const a1 = await openAgent("a1");
    const a2 = await openAgent("a2");
    await world.tasks.submit({ deployment, items: [item] });
    await beginEpoch();
    const held = await offersTo("a1", a1);
    expect(held.offers).toEqual([]);
    expect(held.unfit).toMatchObject([{ why: "quarantine" }]);
    expect(await review()).toEqual({
      kind: "quarantine",
      leftMs: limitMs,
      awaited: expect.arrayContaining(["a1", "a2"]),
    });
    await inventory("a1", a1, []);
    // The limit stands although everybody whom the store knows has answered: it may have forgotten others.
    await inventory("a2", a2, []);
    world.now += limitMs - 1;
    expect(await review()).toEqual({ kind: "quarantine", leftMs: 1, awaited: [] });
    expect((await offersTo("a1", a1)).offers).toEqual([]);
    world.now += 1;
    expect(await review()).toEqual({ kind: "none" });
    expect((await offersTo("a1", a1)).offers).toHaveLength(1);
  });

  test("PROTOCOL-D2: after the limit a living agent that has not said what it holds is waited for, until it has FAILED", async () => {
    const a1 = await openAgent("a1");
    await openAgent("a2");
    await world.tasks.submit({ deployment, items: [item] });
    await beginEpoch();
    await inventory("a1", a1, []);
    world.now += 10 * limitMs;
    expect(await review()).toEqual({ kind: "quarantine", leftMs: 0, awaited: ["a2"] });
    expect((await offersTo("a1", a1)).offers).toEqual([]);
    // A monitor found it expired.
    await redis().zrem(leases, "a2");
    expect(await review()).toEqual({ kind: "none" });
    expect((await offersTo("a1", a1)).offers).toHaveLength(1);
  });

  test("PROTOCOL-D2: an inventory from before its agent knew of the epoch does not count", async () => {
    const a1 = await openAgent("a1");
    await beginEpoch();
    await review();
    await inventory("a1", a1, [], false);
    world.now += limitMs;
    expect(await review()).toMatchObject({ kind: "quarantine", awaited: ["a1"] });
    await inventory("a1", a1, []);
    expect(await review()).toEqual({ kind: "none" });
  });

  test("PROTOCOL-D2: a deployment that was made in the epoch has no quarantine", async () => {
    await world.reset({ createdEpoch: nextEpoch });
    await beginEpoch();
    const a1 = await openAgent("a1");
    await world.tasks.submit({ deployment, items: [item] });
    expect((await offersTo("a1", a1)).offers).toHaveLength(1);
  });

  test("PROTOCOL-D2: open offers are void; an accept of one is never confirmed", async () => {
    const a1 = await openAgent("a1");
    const offered = await run("a1", a1, "OFFERED");
    await beginEpoch();
    expect(await confirm(world, "a1", a1, [offered])).toEqual(["attempt_stale"]);
    expect(await rowOf(item.id)).toMatchObject({
      state: "QUEUED",
      stage: "DECLINED",
      recoveries: 0,
    });
    expect(await slotsOf("a1")).toBe("0");
  });

  test("PROTOCOL-D2 S3: an attempt that was confirmed is not confirmed again in quarantine", async () => {
    const a1 = await openAgent("a1");
    const offered = await run("a1", a1, "OFFERED");
    expect(await confirm(world, "a1", a1, [offered])).toEqual(["confirm"]);
    expect(await confirm(world, "a1", a1, [offered])).toEqual(["confirm"]);
    await beginEpoch();
    expect(await confirm(world, "a1", a1, [offered])).toEqual(["none"]);
  });

  test("PROTOCOL-D2: a caller of the former epoch is refused, and so is one before the projection", async () => {
    const a1 = await openAgent("a1");
    const running = await run("a1", a1);
    const reports = [report(running.id, running.attempt)];
    const groups = [{ agent: "a1", session: a1, reports }];
    world.store.epoch.set(nextEpoch);
    expect(await world.tasks.settle({ deployment, groups })).toMatchObject({
      reason: "epoch_stale",
    });
    await beginEpoch();
    world.store.epoch.set(firstEpoch);
    const accepts = [{ agent: "a1", session: a1, accepts: [{ ...running, sequence: 1 }] }];
    const candidates = [candidate("a1", a1)];
    for (const refused of [
      await world.tasks.settle({ deployment, groups }),
      await world.tasks.confirm({ deployment, groups: accepts }),
      await world.tasks.claim({ deployment, candidates, offerTtlMs: 1, most: 1 }),
    ]) {
      expect(refused).toEqual({ kind: "refused", reason: "epoch_stale" });
    }
  });

  test("PROTOCOL-C2 D2: in quarantine every report is put off, and a kept result is taken afterwards, once", async () => {
    const a1 = await openAgent("a1");
    const { id, attempt } = await run("a1", a1);
    await beginEpoch();
    expect(await settle(world, "a1", a1, report(id, attempt))).toBe("RETRY quarantine");
    const read = (task: string) => world.tasks.readAttempt({ deployment, id: task });
    expect(await read(id)).toMatchObject({ kind: "attempt", quarantined: true });
    expect(await read("t_none")).toEqual({ kind: "unknown", quarantined: true });
    expect(await rowOf(id)).toMatchObject({ state: "ASSIGNED" });
    expect(await inventory("a1", a1, [{ id, attempt, state: "ENDED", facts }])).toEqual(["REPORT"]);
    await untilOver();
    expect(await settle(world, "a1", a1, report(id, attempt))).toBe("ACCEPTED");
    expect(await settle(world, "a1", a1, report(id, attempt))).toBe("DUPLICATE");
    expect(await read("t_none")).toEqual({ kind: "unknown", quarantined: false });
  });

  test("PROTOCOL-D2 S6: running work is rebuilt in an empty store from what its agent says, and keeps its attempt", async () => {
    const { id, attempt } = await run("a1", await openAgent("a1"));
    await wipe();
    const a1 = await openAgent("a1");
    const entries = [{ id, attempt, state: "STARTED", facts }] as const;
    expect(await inventory("a1", a1, entries)).toEqual(["KEEP"]);
    expect(await rowOf(id)).toMatchObject({
      state: "ASSIGNED",
      stage: "STARTED",
      attempt,
      agent: "a1",
      session: a1,
      key: item.key,
    });
    expect(await slotsOf("a1")).toBe("2");
    expect(await inventory("a1", a1, entries)).toEqual(["KEEP"]);
    expect(await slotsOf("a1")).toBe("2");
    await untilOver();
    expect(await settle(world, "a1", a1, report(id, attempt))).toBe("ACCEPTED");
    expect(await rowOf(id)).toMatchObject({ state: "SUCCEEDED", attempts: 1 });
    expect(await slotsOf("a1")).toBe("0");
  });

  test("PROTOCOL-S6: a task submitted again and the running one adopted meet in one, whichever comes first", async () => {
    const { id, attempt } = await run("a1", await openAgent("a1"));
    await wipe();
    const a1 = await openAgent("a1");
    await world.tasks.submit({ deployment, items: [item] });
    expect(await inventory("a1", a1, [{ id, attempt, state: "STARTED", facts }])).toEqual(["KEEP"]);
    expect(await rowOf(id)).toMatchObject({ state: "ASSIGNED", attempt, attempts: 1 });
    await untilOver();
    expect((await offersTo("a1", a1)).offers).toEqual([]);

    await wipe(String(Number(nextEpoch) + 1));
    const again = await openAgent("a1");
    const entries = [{ id, attempt, state: "STARTED", facts }] as const;
    expect(await inventory("a1", again, entries)).toEqual(["KEEP"]);
    expect(await world.tasks.submit({ deployment, items: [item] })).toMatchObject({
      answers: [{ kind: "existing", state: "ASSIGNED" }],
    });
    const other = { ...item, digest: Buffer.alloc(32) };
    expect(await world.tasks.submit({ deployment, items: [other] })).toMatchObject({
      answers: [{ kind: "conflict" }],
    });
    // With its work known again it can be queued again when its agent is lost.
    await untilOver();
    await world.tasks.decline({
      deployment,
      declines: [{ agent: "a1", id, attempt, reason: "runner_lost", message: "" }],
    });
    expect(Buffer.from((await rowOf(id))?.spec ?? [])).toEqual(item.spec);
  });

  test("PROTOCOL-D2: rebuilt work whose submission is not known fails when it is lost, since nobody can run it", async () => {
    const { id, attempt } = await run("a1", await openAgent("a1"));
    await wipe();
    const a1 = await openAgent("a1");
    await inventory("a1", a1, [{ id, attempt, state: "STARTED", facts }]);
    await inventory("a1", a1, []);
    expect(await rowOf(id)).toMatchObject({ state: "FAILED", reason: "work_unknown" });
  });

  test("PROTOCOL-D2: an attempt newer than the store's is adopted, and the older one's agent is asked again", async () => {
    const a1 = await openAgent("a1");
    const old = await run("a1", a1);
    const a2 = await openAgent("a2");
    // The store went back: a1's attempt had been given up, and the task runs on a2.
    const attempt = `${firstEpoch}.77`;
    await beginEpoch();
    const named = { id: item.id, attempt };
    const wake = new Promise<string>((resolve) => {
      world.redis.subscriptions.once("message", (_channel, text: string) => resolve(text));
    });
    await world.redis.subscriptions.subscribe("rmx:global:wake");
    const entries = [{ ...named, state: "STARTED", facts }] as const;
    expect(await inventory("a2", a2, entries)).toEqual(["KEEP"]);
    await world.redis.subscriptions.unsubscribe("rmx:global:wake");
    expect(JSON.parse(await wake)).toEqual({ deployment, inventories: ["a1"] });
    expect(await rowOf(item.id)).toMatchObject({ state: "ASSIGNED", attempt, agent: "a2" });
    expect([await slotsOf("a1"), await slotsOf("a2")]).toEqual(["0", "1"]);
    const zombie = [{ ...old, state: "STARTED", facts }] as const;
    expect(await inventory("a1", a1, zombie)).toEqual(["KILL"]);
    await untilOver();
    expect(await settle(world, "a1", a1, report(old.id, old.attempt))).toMatch(/^STALE/);
    expect(await settle(world, "a2", a2, report(item.id, attempt))).toBe("ACCEPTED");
  });

  test("PROTOCOL-D2: of an attempt that was only offered here, the confirmed start is adopted", async () => {
    const a1 = await openAgent("a1");
    const { id, attempt } = await run("a1", a1, "OFFERED");
    await beginEpoch();
    await review();
    expect(await rowOf(id)).toMatchObject({ state: "QUEUED", attemptReason: "epoch_changed" });
    expect(await inventory("a1", a1, [{ id, attempt, state: "STARTED", facts }])).toEqual(["KEEP"]);
    expect(await rowOf(id)).toMatchObject({ state: "ASSIGNED", stage: "STARTED", attempt });
    await untilOver();
    expect((await offersTo("a1", a1)).offers).toEqual([]);
  });

  test("PROTOCOL-D2 I7: what the store knows to be over, or forged, is not adopted", async () => {
    const a1 = await openAgent("a1");
    const { id, attempt } = await run("a1", a1);
    await world.tasks.decline({
      deployment,
      declines: [{ agent: "a1", id, attempt, reason: "no", message: "" }],
    });
    await inventory("a1", a1, []);
    expect(await rowOf(id)).toMatchObject({ state: "QUEUED", stage: "LOST" });
    await beginEpoch();
    const entry = { id, attempt, state: "STARTED", facts } as const;
    const newer = { ...entry, attempt: `${firstEpoch}.99` };
    // Given up here, and this store has not lost it since.
    expect(await inventory("a1", a1, [entry])).toEqual(["KILL"]);
    const foreign = { ...newer, facts: { ...facts, digest: Buffer.alloc(32) } };
    expect(await inventory("a1", a1, [foreign])).toEqual(["KILL"]);
    const ofThisEpoch = { ...entry, attempt: `${nextEpoch}.99` };
    expect(await inventory("a1", a1, [ofThisEpoch])).toEqual(["KILL"]);
    const { facts: _facts, ...bare } = newer;
    expect(await inventory("a1", a1, [bare])).toEqual(["KILL"]);
    expect(await inventory("a1", a1, [newer])).toEqual(["KEEP"]);
    const unknownQueue = { ...newer, id: submission("two").id, facts: { ...facts, queue: "gone" } };
    expect(await inventory("a1", a1, [unknownQueue, newer])).toEqual(["KILL", "KEEP"]);
  });

  test("PROTOCOL-D2: a task that is unknown long after the epoch began was forgotten, not lost", async () => {
    await wipe();
    const a1 = await openAgent("a1");
    await review();
    world.now += 25 * 3_600_000;
    const late = { id: item.id, attempt: `${firstEpoch}.3`, state: "STARTED", facts } as const;
    expect(await inventory("a1", a1, [late])).toEqual(["KILL"]);
  });

  test("PROTOCOL-D2 H2: in quarantine nothing is given up for good, since a newer attempt may still be brought", async () => {
    const a1 = await openAgent("a1");
    const { id } = await run("a1", a1);
    await beginEpoch();
    await redis().hset(`${deploymentTag(deployment)}:session:a1`, { state: "ENDED" });
    await redis().zrem(leases, "a1");
    const gone = { agent: "a1", session: a1, reason: "lease_expired", endedAtMs: world.now };
    const giveUp = () => world.tasks.giveUp({ deployment, ...gone, most: 10 });
    expect(await giveUp()).toEqual({ kind: "alive" });
    expect(await rowOf(id)).toMatchObject({ state: "ASSIGNED" });
    await untilOver();
    expect(await giveUp()).toMatchObject({ kind: "given_up", attempts: 1 });
    expect(await rowOf(id)).toMatchObject({ state: "QUEUED", recoveries: 1 });
  });

  test("PROTOCOL-I9: attempts of the new epoch are greater than all before, and their numbers are not used twice", async () => {
    const a1 = await openAgent("a1");
    const before = await run("a1", a1);
    await wipe();
    const again = await openAgent("a1");
    await world.tasks.submit({ deployment, items: [submission("two")] });
    await review();
    await inventory("a1", again, []);
    await untilOver();
    const { offers } = await offersTo("a1", again);
    const attempt = `${nextEpoch}.${offers[0]?.attemptNumber}`;
    await confirm(world, "a1", again, [{ id: submission("two").id, attempt }]);
    expect(await rowOf(submission("two").id)).toMatchObject({ attempt, stage: "CONFIRMED" });
    expect(Number(attempt.split(".")[0])).toBeGreaterThan(Number(before.attempt.split(".")[0]));
  });
});
