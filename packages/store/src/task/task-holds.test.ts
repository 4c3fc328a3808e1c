// SPDX-License-Identifier: Apache-2.0
import { lostAfterNeverMs } from "@remex/domain";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  attemptOf,
  candidate,
  claim,
  confirm,
  deployment,
  report,
  settle,
  startTaskWorld,
  submission,
  type TaskWorld,
} from "./task-test-kit.ts";
import type { SubmitItem } from "./task-writes.ts";

const lostAfterMs = 300_000;

describe("work of lost agents", () => {
  let world: TaskWorld;
  beforeAll(async () => {
    world = await startTaskWorld();
  });
  beforeEach(() => world.reset({ lostAfterMs: String(lostAfterMs) }));
  afterAll(() => world.stop());

  const rowOf = async (id: string) => {
    const tasks = await world.tasks.get({ deployment, ids: [id] });
    return tasks.kind === "tasks" ? tasks.rows[0] : undefined;
  };
  const stateOf = async (id: string) => (await rowOf(id))?.state;
  const slotsOf = (agent: string) =>
    world.redis.commands.hget(`rmx:{${deployment}}:held:${agent}`, "slots");
  const setSession = (agent: string, fields: Record<string, string>) =>
    world.redis.commands.hset(`rmx:{${deployment}}:session:${agent}`, fields);

  /** A task that runs on a1, as far as asked. */
  const run = async (
    stage: "OFFERED" | "CONFIRMED" | "STARTED",
    fields: Partial<SubmitItem> = {},
    session?: string,
  ) => {
    const own = session ?? (await world.setSession("a1"));
    const item = submission("one", fields);
    await world.tasks.submit({ deployment, items: [item] });
    const { offers } = await claim(world, [candidate("a1", own)]);
    const attempt = attemptOf(offers[0]!);
    const named = { id: item.id, attempt };
    if (stage !== "OFFERED") await confirm(world, "a1", own, [named]);
    if (stage === "STARTED") {
      const notes = [{ agent: "a1", ...named, note: "" }];
      await world.tasks.noteProgress({ deployment, notes });
    }
    return { ...named, session: own };
  };
  const end = async (session: string, reason = "lease_expired", health = "FAILED") => {
    await setSession("a1", { state: "ENDED", health });
    const ended = { agent: "a1", session, reason, endedAtMs: world.now, most: 10 };
    return world.tasks.giveUp({ deployment, ...ended });
  };
  const inventory = (
    session: string,
    entries: { id: string; attempt: string; state: "ACCEPTED" | "STARTED" | "ENDED" }[],
  ) =>
    world.tasks.reconcile({
      deployment,
      inventories: [{ agent: "a1", session, sequence: 9, entries }],
    });
  const sweep = () => world.tasks.expireHolds({ deployment, most: 10 });

  test("PROTOCOL-H1: confirmed work of a FAILED agent is HELD until lost_after has passed since then", async () => {
    const { id, session } = await run("STARTED");
    const failedAtMs = world.now;
    await setSession("a1", { state: "ENDED", health: "FAILED" });
    // Given up late: lost_after counts from the failure all the same.
    world.now += 60_000;
    const ended = { agent: "a1", session, reason: "lease_expired", endedAtMs: failedAtMs };
    const given = await world.tasks.giveUp({ deployment, ...ended, most: 10 });
    expect(given).toEqual({ kind: "given_up", attempts: 0, held: 1, more: false });
    expect(await rowOf(id)).toMatchObject({
      state: "HELD",
      stage: "STARTED",
      heldUntilMs: failedAtMs + lostAfterMs,
      heldReason: "lease_expired",
    });
    world.now = failedAtMs + lostAfterMs - 1;
    expect(await sweep()).toMatchObject({ attempts: [] });
    expect(await stateOf(id)).toBe("HELD");
    world.now += 1;
    expect(await sweep()).toMatchObject({ attempts: [{ agent: "a1", id }] });
    expect(await rowOf(id)).toMatchObject({ state: "QUEUED", recoveries: 1, retries: 0 });
  });

  test("PROTOCOL-H1: by default nothing is held, and an attempt that was not confirmed never is", async () => {
    await world.reset();
    const plain = await run("CONFIRMED");
    await end(plain.session);
    expect(await rowOf(plain.id)).toMatchObject({ state: "QUEUED", recoveries: 1 });
    await world.reset({ lostAfterMs: String(lostAfterMs) });
    const offered = await run("OFFERED");
    await end(offered.session);
    expect(await rowOf(offered.id)).toMatchObject({ state: "QUEUED", recoveries: 0 });
  });

  test("PROTOCOL-H1: ABORT work is given up at FAILED, whoever said ABORT", async () => {
    const own = await run("STARTED", { onCut: "ABORT" });
    await end(own.session);
    expect(await stateOf(own.id)).toBe("QUEUED");
    await world.reset({ lostAfterMs: String(lostAfterMs), onCut: "ABORT" });
    const ofDeployment = await run("STARTED");
    await end(ofDeployment.session);
    expect(await stateOf(ofDeployment.id)).toBe("QUEUED");
    await world.reset({ lostAfterMs: String(lostAfterMs), onCut: "ABORT" });
    const overridden = await run("STARTED", { onCut: "CONTINUE" });
    await end(overridden.session);
    expect(await stateOf(overridden.id)).toBe("HELD");
    await world.reset({ lostAfterMs: String(lostAfterMs) });
    const ofGroup = await run("STARTED", {}, await world.setSession("a1", { onCut: "ABORT" }));
    await end(ofGroup.session);
    expect(await stateOf(ofGroup.id)).toBe("QUEUED");
    await world.reset({ lostAfterMs: String(lostAfterMs) });
    const session = await world.setSession("a1", { kind: "TRIGGERER" });
    const trigger = await run("STARTED", {}, session);
    await end(trigger.session);
    expect(await stateOf(trigger.id)).toBe("QUEUED");
  });

  test("PROTOCOL-H1: the task's lost_after holds over the group's, the group's over the deployment's", async () => {
    // What the group says is projected into its agents' records.
    const group = await run("STARTED", {}, await world.setSession("a1", { lostAfterMs: "1000" }));
    await end(group.session);
    expect(await rowOf(group.id)).toMatchObject({ heldUntilMs: world.now + 1_000 });
    await world.reset({ lostAfterMs: String(lostAfterMs) });
    const session = await world.setSession("a1", { lostAfterMs: "never" });
    const never = await run("STARTED", {}, session);
    await end(never.session);
    expect(await rowOf(never.id)).toMatchObject({ heldUntilMs: Number.POSITIVE_INFINITY });
    await world.reset({ lostAfterMs: String(lostAfterMs) });
    const both = await world.setSession("a1", { lostAfterMs: "1000" });
    const task = await run("STARTED", { lostAfterMs: 2_000 }, both);
    await end(task.session);
    expect(await rowOf(task.id)).toMatchObject({ heldUntilMs: world.now + 2_000 });
    await world.reset({ lostAfterMs: String(lostAfterMs) });
    const zero = await run("STARTED", { lostAfterMs: 0 });
    await end(zero.session);
    expect(await stateOf(zero.id)).toBe("QUEUED");
  });

  test("PROTOCOL-H1: an agent that comes back with its work gets it back, and its slots with it", async () => {
    const { id, attempt, session } = await run("STARTED", { slotCost: 3 });
    expect(await slotsOf("a1")).toBe("3");
    await end(session);
    expect(await slotsOf("a1")).toBe("0");
    const next = await world.setSession("a1");
    expect(await inventory(next, [{ id, attempt, state: "STARTED" }])).toMatchObject({
      judgements: [{ verdicts: ["KEEP"] }],
    });
    expect(await rowOf(id)).toMatchObject({ state: "ASSIGNED", session: next, heldUntilMs: 0 });
    expect(await slotsOf("a1")).toBe("3");
    world.now += lostAfterMs + 1;
    expect(await sweep()).toMatchObject({ attempts: [] });
    expect(await settle(world, "a1", next, report(id, attempt))).toBe("ACCEPTED");
    expect(await stateOf(id)).toBe("SUCCEEDED");
    expect(await slotsOf("a1")).toBe("0");
  });

  test("R31 PROTOCOL-H1: what was given up meanwhile is killed on return, and its result is stale", async () => {
    const { id, attempt, session } = await run("STARTED");
    await end(session);
    world.now += lostAfterMs;
    await sweep();
    const next = await world.setSession("a1");
    expect(await inventory(next, [{ id, attempt, state: "STARTED" }])).toMatchObject({
      judgements: [{ verdicts: ["KILL"] }],
    });
    expect(await settle(world, "a1", next, report(id, attempt))).toMatch(/^STALE/);
    expect(await stateOf(id)).toBe("QUEUED");
  });

  test("PROTOCOL-C2 H1: the result of held work is taken, in whichever session it comes", async () => {
    const { id, attempt, session } = await run("STARTED");
    await end(session);
    const next = await world.setSession("a1");
    expect(await settle(world, "a1", next, report(id, attempt))).toBe("ACCEPTED");
    expect(await rowOf(id)).toMatchObject({ state: "SUCCEEDED", heldUntilMs: 0 });
    world.now += lostAfterMs;
    expect(await sweep()).toMatchObject({ attempts: [] });
    expect(await stateOf(id)).toBe("SUCCEEDED");
    expect(await slotsOf("a1")).toBe("0");
  });

  test("PROTOCOL-H1: a returning agent that does not have its started work any more has lost it", async () => {
    const { id, session } = await run("STARTED");
    await setSession("a1", { instanceFrom: session });
    await end(session);
    const next = await world.setSession("a1");
    await inventory(next, []);
    expect(await rowOf(id)).toMatchObject({ state: "QUEUED", recoveries: 1 });
  });

  test("PROTOCOL-H1 T6: another process under the name says nothing about what the old one may still run", async () => {
    const { id, session } = await run("STARTED");
    await end(session);
    const next = await world.setSession("a1");
    await setSession("a1", { instanceFrom: next });
    await inventory(next, []);
    expect(await stateOf(id)).toBe("HELD");
    expect(await slotsOf("a1")).toBe("0");
    world.now += lostAfterMs;
    await sweep();
    expect(await stateOf(id)).toBe("QUEUED");
  });

  test("PROTOCOL-C4 H1: a cancel of held work stays a wish until it is given up, returned or reported", async () => {
    const { id, attempt, session } = await run("STARTED");
    await end(session);
    const canceled = await world.tasks.cancel({ deployment, ids: [id] });
    expect(canceled).toMatchObject({ answers: [{ state: "HELD", tell: undefined }] });
    expect(await world.tasks.listCancels({ deployment, most: 10 })).toMatchObject({ attempts: [] });
    const next = await world.setSession("a1");
    expect(await inventory(next, [{ id, attempt, state: "STARTED" }])).toMatchObject({
      judgements: [{ verdicts: ["KEEP"], wished: [{ id, attempt }] }],
    });
    await end(next);
    world.now += lostAfterMs;
    await sweep();
    expect(await rowOf(id)).toMatchObject({ state: "CANCELED", reason: "canceled" });
  });

  test("PROTOCOL-H1 O3: never means until an operator says that the agent is gone", async () => {
    const { id, session } = await run("STARTED", { lostAfterMs: lostAfterNeverMs });
    await end(session);
    expect(await rowOf(id)).toMatchObject({ state: "HELD", heldUntilMs: Number.POSITIVE_INFINITY });
    world.now += 365 * 24 * 3_600_000;
    expect(await sweep()).toMatchObject({ attempts: [] });
    await end(session, "lease_expired");
    expect(await stateOf(id)).toBe("HELD");
    expect(await end(session, "gone")).toMatchObject({ attempts: 1 });
    expect(await rowOf(id)).toMatchObject({
      state: "QUEUED",
      recoveries: 1,
      attemptReason: "gone",
    });
  });

  test("PROTOCOL-O3: what an agent runs in a later session is not given up by the word that it is gone", async () => {
    const { id, attempt, session } = await run("STARTED");
    await end(session);
    const next = await world.setSession("a1");
    await inventory(next, [{ id, attempt, state: "STARTED" }]);
    const late = { agent: "a1", session, reason: "gone", endedAtMs: world.now, most: 10 };
    expect(await world.tasks.giveUp({ deployment, ...late })).toMatchObject({ attempts: 0 });
    expect(await stateOf(id)).toBe("ASSIGNED");
  });

  test("PROTOCOL-L8: Delete gives up at once, held work too; every other reason holds", async () => {
    for (const reason of ["token_revoked", "lease_expired", "goodbye", "address_refused"]) {
      await world.reset({ lostAfterMs: String(lostAfterMs) });
      const other = await run("STARTED");
      await end(other.session, reason);
      expect(await stateOf(other.id), reason).toBe("HELD");
    }
    const next = await world.setSession("a1");
    await end(next, "deleted");
    expect(await rowOf(submission("one").id)).toMatchObject({ state: "QUEUED", recoveries: 1 });
  });

  test("PROTOCOL-L8: after an empty goodbye nothing is held, and what never started costs nothing", async () => {
    const confirmed = await run("CONFIRMED");
    await end(confirmed.session, "token_revoked", "LEFT");
    expect(await rowOf(confirmed.id)).toMatchObject({ state: "QUEUED", recoveries: 0 });
  });

  test("PROTOCOL-T6: what a restarted agent held waits for the word of its journal", async () => {
    const { id, attempt, session } = await run("STARTED");
    const next = await world.setSession("a1");
    await setSession("a1", { instanceFrom: session });
    const ended = {
      agent: "a1",
      session,
      reason: "agent_restarted",
      endedAtMs: world.now,
      most: 10,
    };
    expect(await world.tasks.giveUp({ deployment, ...ended })).toMatchObject({
      attempts: 0,
      held: 0,
    });
    expect(await stateOf(id)).toBe("ASSIGNED");
    await inventory(next, [{ id, attempt, state: "ENDED" }]);
    expect(await settle(world, "a1", next, report(id, attempt))).toBe("ACCEPTED");
  });

  test("PROTOCOL-H2 I20: held work that is given up counts as a recovery, and the cap holds", async () => {
    const { id, session } = await run("STARTED", { maxRecoveries: 1 });
    await end(session);
    world.now += lostAfterMs;
    await sweep();
    const again = await world.setSession("a1");
    const { offers } = await claim(world, [candidate("a1", again)]);
    await confirm(world, "a1", again, [{ id, attempt: attemptOf(offers[0]!) }]);
    await end(again);
    world.now += lostAfterMs;
    await sweep();
    expect(await rowOf(id)).toMatchObject({ state: "FAILED", reason: "recoveries_exhausted" });
  });
});
