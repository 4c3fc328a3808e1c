// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  attemptOf,
  candidate,
  claim,
  confirm,
  deployment,
  epoch,
  report,
  settle,
  startTaskWorld,
  submission,
  type TaskWorld,
} from "./task-test-kit.ts";

describe("the life of a task in the store", () => {
  let world: TaskWorld;
  beforeAll(async () => {
    world = await startTaskWorld();
  });
  beforeEach(() => world.reset());
  afterAll(() => world.stop());

  const submit = async (...items: ReturnType<typeof submission>[]) => {
    const submitted = await world.tasks.submit({ deployment, items });
    if (submitted.kind !== "submitted") throw new Error(submitted.reason);
    return submitted.answers;
  };
  const rowOf = async (id: string) => {
    const tasks = await world.tasks.get({ deployment, ids: [id] });
    return tasks.kind === "tasks" ? tasks.rows[0] : undefined;
  };
  const history = async () => {
    const read = await world.tasks.readChanges({ deployment, after: "0-0", most: 1000 });
    if (read.kind !== "changes") throw new Error(read.reason);
    return read.entries.flatMap(({ changes }) =>
      changes.map(({ key, state, stage }) => `${key} ${state} ${stage}`.trim()),
    );
  };

  test("a task goes from its submission to its result, and the history tells each step", async () => {
    const session = await world.setSession("a1");
    expect(await submit(submission("one"), submission("two"))).toEqual([
      { kind: "queued" },
      { kind: "queued" },
    ]);
    const { offers, empty } = await claim(world, [candidate("a1", session)]);
    expect(offers.map(({ id, key }) => [id, key])).toEqual([
      [submission("one").id, "key-one"],
      [submission("two").id, "key-two"],
    ]);
    expect(empty).toEqual(["default"]);
    expect(offers[0]!.spec).toEqual(submission("one").spec);
    expect(offers[0]!.digest).toEqual(submission("one").digest);
    const accepts = offers.map((offer) => ({ id: offer.id, attempt: attemptOf(offer) }));
    expect(await confirm(world, "a1", session, accepts)).toEqual(["confirm", "confirm"]);
    const [first, second] = accepts;
    await world.tasks.noteProgress({
      deployment,
      notes: [
        { agent: "a1", ...first!, note: "" },
        { agent: "a1", ...first!, note: "half way" },
      ],
    });
    expect(await rowOf(first!.id)).toMatchObject({
      state: "ASSIGNED",
      stage: "STARTED",
      note: "half way",
      startedAtMs: world.now,
    });
    world.now += 5;
    expect(await settle(world, "a1", session, report(first!.id, first!.attempt))).toBe("ACCEPTED");
    expect(
      await settle(
        world,
        "a1",
        session,
        report(second!.id, second!.attempt, {
          kind: "FAILED",
          reason: "exit_code",
          exitCode: 3,
          message: "it broke",
          started: true,
        }),
      ),
    ).toBe("ACCEPTED");
    expect(await rowOf(first!.id)).toMatchObject({
      state: "SUCCEEDED",
      stage: "ENDED",
      endedAtMs: world.now,
    });
    expect(await rowOf(second!.id)).toMatchObject({ state: "FAILED", reason: "exit_code" });
    expect(await history()).toEqual([
      "key-one QUEUED",
      "key-two QUEUED",
      "key-one ASSIGNED OFFERED",
      "key-two ASSIGNED OFFERED",
      "key-one ASSIGNED CONFIRMED",
      "key-two ASSIGNED CONFIRMED",
      "key-one ASSIGNED STARTED",
      "key-one SUCCEEDED ENDED",
      "key-two ASSIGNED STARTED",
      "key-two FAILED ENDED",
    ]);
    const depths = await world.tasks.depths({ deployment });
    expect(depths.kind === "depths" && Object.fromEntries(depths.states)).toEqual({
      QUEUED: 0,
      ASSIGNED: 0,
      HELD: 0,
      SUCCEEDED: 1,
      FAILED: 1,
      CANCELED: 0,
    });
  });

  test("PROTOCOL-D2: a function given another epoch than the deployment's changes nothing", async () => {
    world.store.epoch.set("17");
    const refused = await world.tasks.submit({ deployment, items: [submission("one")] });
    world.store.epoch.set(epoch);
    expect(refused).toEqual({ kind: "refused", reason: "epoch_stale" });
    expect(await world.tasks.submit({ deployment: "other", items: [] })).toEqual({
      kind: "refused",
      reason: "not_projected",
    });
    expect(await history()).toEqual([]);
  });

  test("PROTOCOL-I14: giving up a session also frees what an earlier session of the agent still held", async () => {
    // Once an agent that opened a new session and died before its inventory kept its old work for ever.
    const old = await world.setSession("a1");
    await submit(submission("one"));
    const { offers } = await claim(world, [candidate("a1", old)]);
    const session = await world.setSession("a1", { state: "ENDED" });
    const given = await world.tasks.giveUp({
      deployment,
      agent: "a1",
      session,
      reason: "lease_expired",
      endedAtMs: world.now,
      most: 10,
    });
    expect(given).toMatchObject({ kind: "given_up", attempts: 1 });
    expect(await rowOf(offers[0]!.id)).toMatchObject({ state: "QUEUED" });
  });

  test("PROTOCOL-S9: priority first, then the order of submission; what is queued again keeps its place", async () => {
    const session = await world.setSession("a1");
    await submit(submission("one"), submission("two"), submission("urgent", { priority: 5 }));
    const first = await claim(world, [candidate("a1", session, 2)]);
    expect(first.offers.map(({ key }) => key)).toEqual(["key-urgent", "key-one"]);
    const one = first.offers[1]!;
    const decline = {
      agent: "a1",
      id: one.id,
      attempt: attemptOf(one),
      reason: "no_slots",
      message: "",
    };
    await world.tasks.decline({ deployment, declines: [decline] });
    const next = await claim(world, [candidate("a1", session, 2)]);
    expect(next.offers.map(({ key }) => key)).toEqual(["key-one"]);
  });

  test("PROTOCOL-S8: a task that never fits an agent holds nobody up, one that fits later is waited for", async () => {
    const session = await world.setSession("a1");
    await submit(submission("huge", { slotCost: 9 }), submission("one"));
    const skipped = await claim(world, [candidate("a1", session, 3)]);
    expect(skipped.offers.map(({ key }) => key)).toEqual(["key-one"]);
    await submit(submission("large", { slotCost: 3 }), submission("small"));
    const waiting = await claim(world, [candidate("a1", session, 3)]);
    expect(waiting.offers).toEqual([]);
    const [held] = skipped.offers;
    const decline = {
      agent: "a1",
      id: held!.id,
      attempt: attemptOf(held!),
      reason: "no_slots",
      message: "",
    };
    await world.tasks.cancel({ deployment, ids: [held!.id] });
    await world.tasks.decline({ deployment, declines: [decline] });
    const large = await claim(world, [candidate("a1", session, 3)]);
    expect(large.offers.map(({ key }) => key)).toEqual(["key-large"]);
  });

  test("PROTOCOL-I6: the store offers nothing to an agent that is cordoned, unhealthy, overdue or gone", async () => {
    await submit(submission("one"));
    const bad = [
      { availability: "CORDONED" },
      { health: "DEGRADED" },
      { state: "ENDING" },
      { beatAtMs: String(world.now - 30_000) },
    ];
    const whys: string[] = [];
    for (const fields of bad) {
      const session = await world.setSession("a1", {
        availability: "SCHEDULABLE",
        health: "HEALTHY",
        state: "OPEN",
        ...fields,
      });
      const { unfit, offers } = await claim(world, [candidate("a1", session)]);
      expect(offers).toEqual([]);
      whys.push(unfit[0]!.why);
    }
    expect(whys).toEqual(["not_schedulable", "not_healthy", "session_over", "lease_ended"]);
  });
});
