// SPDX-License-Identifier: Apache-2.0
// Proves which events of triggers the store takes, and that it takes each once (PROTOCOL C5, G3, I11).

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { EventItem } from "./task-events.ts";
import {
  attemptOf,
  candidate,
  claim,
  confirm,
  deployment,
  limitMs,
  report,
  settle,
  startTaskWorld,
  submission,
  type TaskWorld,
} from "./task-test-kit.ts";

let world: TaskWorld;
beforeAll(async () => {
  world = await startTaskWorld();
});
afterAll(() => world?.stop());

const trigger = submission("trigger");

/** Submits the trigger, if need be, and has an agent start it. */
async function started(agent: string, session: string): Promise<string> {
  await world.tasks.submit({ deployment, items: [trigger] });
  const { offers } = await claim(world, [candidate(agent, session)]);
  const [offer] = offers;
  if (offer === undefined) throw new Error("nothing was offered");
  const attempt = attemptOf(offer);
  await confirm(world, agent, session, [{ id: trigger.id, attempt }]);
  return attempt;
}

async function emit(agent: string, session: string, ...events: readonly EventItem[]) {
  const reply = await world.tasks.noteEvents({ deployment, groups: [{ agent, session, events }] });
  if (reply.kind !== "noted") throw new Error(reply.reason);
  return reply.judgements.map(({ durable, refusal }) => refusal || durable);
}

function event(attempt: string, number: number, text = `event ${number}`, known = 0): EventItem {
  return { id: trigger.id, attempt, number, known, payload: Buffer.from(text) };
}

async function kept(after = 0, most = 1_000, mostBytes = 1_048_576) {
  const reply = await world.tasks.listEvents({
    deployment,
    id: trigger.id,
    after,
    most,
    mostBytes,
  });
  if (reply.kind !== "events") throw new Error(reply.kind);
  return reply;
}

describe("events of triggers", () => {
  let session: string;
  let attempt: string;
  beforeEach(async () => {
    await world.reset();
    session = await world.setSession("t1");
    attempt = await started("t1", session);
  });

  it("an event of the current attempt is durable, with who emitted it and when", async () => {
    expect(await emit("t1", session, event(attempt, 1))).toEqual([1]);
    expect(await kept()).toMatchObject({
      total: 1,
      events: [{ position: 1, attempt, number: 1, agent: "t1", atMs: world.now }],
    });
  });

  it("PROTOCOL-G3: events are deduplicated by trigger, attempt and number", async () => {
    expect(await emit("t1", session, event(attempt, 1), event(attempt, 2))).toEqual([1, 2]);
    expect(await emit("t1", session, event(attempt, 1), event(attempt, 2))).toEqual([2, 2]);
    expect(await emit("t1", session, event(attempt, 2), event(attempt, 3))).toEqual([2, 3]);
    expect((await kept()).events.map(({ number }) => number)).toEqual([1, 2, 3]);
  });

  it("an event after a gap waits for those before it, and nothing is skipped", async () => {
    expect(await emit("t1", session, event(attempt, 2))).toEqual([0]);
    expect(await emit("t1", session, event(attempt, 1), event(attempt, 2))).toEqual([1, 2]);
  });

  it("PROTOCOL-D2: a store that lost durable events goes on with the next one of the attempt", async () => {
    expect(await emit("t1", session, event(attempt, 6, "six"))).toEqual([0]);
    expect(await emit("t1", session, event(attempt, 6, "six", 5))).toEqual([6]);
    expect(await emit("t1", session, event(attempt, 6, "six", 5))).toEqual([6]);
    expect((await kept()).events.map(({ number }) => number)).toEqual([6]);
  });

  it("PROTOCOL-D2 R32: an event of an attempt that the store has lost is not refused, since it may be adopted", async () => {
    await world.redis.commands.del(`rmx:{${deployment}}:task:${trigger.id}`);
    expect(await emit("t1", session, event(attempt, 1))).toEqual(["later"]);
    await world.tasks.submit({ deployment, items: [trigger] });
    expect(await emit("t1", session, event(attempt, 1))).toEqual(["later"]);
    await world.redis.commands.del(`rmx:{${deployment}}:session:t1`);
    expect(await emit("t1", session, event(attempt, 1))).toEqual(["later"]);
    expect((await kept()).total).toBe(0);
  });

  it("PROTOCOL-C5: an older attempt's event is refused once the trigger was taken over", async () => {
    await emit("t1", session, event(attempt, 1));
    const key = `rmx:{${deployment}}:session:t1`;
    await world.redis.commands.hset(key, { state: "ENDED", health: "FAILED" });
    const ended = { agent: "t1", session, reason: "lease_expired", endedAtMs: world.now };
    await world.tasks.giveUp({ deployment, ...ended, most: 9 });
    const other = await world.setSession("t2");
    const later = await started("t2", other);
    expect(await emit("t1", session, event(attempt, 2))).toEqual(["stale"]);
    const again = await world.setSession("t1");
    expect(await emit("t1", again, event(attempt, 2))).toEqual(["stale"]);
    expect(await emit("t2", other, event(attempt, 2))).toEqual(["stale"]);
    expect(await emit("t2", other, event(later, 1))).toEqual([1]);
    const { events } = await kept();
    expect(events.map((each) => [each.attempt, each.number, each.position])).toEqual([
      [attempt, 1, 1],
      [later, 1, 2],
    ]);
  });

  it("PROTOCOL-C5: an ended attempt's event is refused", async () => {
    expect(await settle(world, "t1", session, report(trigger.id, attempt))).toBe("ACCEPTED");
    expect(await emit("t1", session, event(attempt, 1))).toEqual(["stale"]);
  });

  it("PROTOCOL-I11 G3: no event is taken without a valid lease, and it may come again", async () => {
    world.now += limitMs;
    expect(await emit("t1", session, event(attempt, 1))).toEqual(["later"]);
    await world.redis.commands.hset(`rmx:{${deployment}}:session:t1`, {
      beatAtMs: String(world.now),
    });
    expect(await emit("t1", session, event(attempt, 1))).toEqual([1]);
  });

  it.each(["ENDING", "ENDED"])(
    "PROTOCOL-I11 L8: no event is taken in a session that is %s",
    async (state) => {
      await world.redis.commands.hset(`rmx:{${deployment}}:session:t1`, { state });
      expect(await emit("t1", session, event(attempt, 1))).toEqual(["later"]);
      expect((await kept()).total).toBe(0);
    },
  );

  it("PROTOCOL-I11: no event is taken of an attempt that was not confirmed", async () => {
    await world.reset();
    const other = await world.setSession("t2");
    await world.tasks.submit({ deployment, items: [trigger] });
    const { offers } = await claim(world, [candidate("t2", other)]);
    const offered = offers.map(attemptOf)[0] ?? "";
    expect(await emit("t2", other, event(offered, 1))).toEqual(["later"]);
    expect((await kept()).total).toBe(0);
  });

  it("an event is a change of the history, with its number", async () => {
    const from = await world.tasks.readChanges({ deployment, after: "", most: 1 });
    if (from.kind !== "changes") throw new Error(from.kind);
    await emit("t1", session, event(attempt, 1));
    const read = await world.tasks.readChanges({ deployment, after: from.newest, most: 10 });
    if (read.kind !== "changes") throw new Error(read.kind);
    expect(read.entries.flatMap(({ changes }) => changes)).toMatchObject([
      { id: trigger.id, state: "ASSIGNED", attempt, triggerEvent: 1, message: "" },
    ]);
  });

  it("the newest 1,000 events and 4 MiB of a trigger are kept", async () => {
    const many = Array.from({ length: 1_005 }, (_, i) => event(attempt, i + 1, "x"));
    await emit("t1", session, ...many);
    const few = await kept(0, 1);
    expect(few).toMatchObject({ total: 1_005, events: [{ number: 6 }] });
    const large = "y".repeat(262_144);
    const more = Array.from({ length: 20 }, (_, i) => event(attempt, 1_006 + i, large));
    await emit("t1", session, ...more);
    const held = await kept(0, 1_000, 64 * 1_048_576);
    expect(held.total).toBe(1_025);
    expect(held.events.map(({ number }) => number)).toEqual(
      Array.from({ length: 16 }, (_, i) => 1_010 + i),
    );
  });

  it("events are read in pages by position and by bytes", async () => {
    await emit("t1", session, ...[1, 2, 3].map((number) => event(attempt, number, "12345678")));
    expect((await kept(1, 1)).events.map(({ number }) => number)).toEqual([2]);
    expect((await kept(0, 10, 9)).events.map(({ number }) => number)).toEqual([1, 2]);
  });

  it("events go with their task", async () => {
    await emit("t1", session, event(attempt, 1));
    await settle(world, "t1", session, report(trigger.id, attempt));
    world.now += 2 * 86_400_000;
    await world.tasks.trim({ deployment, most: 10, mostChanges: 1_000 });
    expect(await world.redis.commands.exists(`rmx:{${deployment}}:events:${trigger.id}`)).toBe(0);
    const reply = await world.tasks.listEvents({
      deployment,
      id: trigger.id,
      after: 0,
      most: 1,
      mostBytes: 1,
    });
    expect(reply.kind).toBe("unknown");
  });
});
