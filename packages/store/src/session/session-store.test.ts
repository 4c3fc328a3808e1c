// SPDX-License-Identifier: Apache-2.0
// Proves each rule of a session's life against the functions in a real Redis.
import { compareRefs, formatRef, requireRef, type SessionRef } from "@remex/domain";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { LeaseBeat } from "./lease-functions.ts";
import {
  fixtureFacts,
  fixtureLimitMs,
  type SessionFixture,
  startSessionFixture,
} from "./session-fixture.ts";
import type { SessionFacts } from "./session-record.ts";

const other = { ...fixtureFacts, instance: "bb".repeat(16) };
let fixture: SessionFixture;

beforeAll(async () => {
  fixture = await startSessionFixture();
});
afterAll(() => fixture.stop());
beforeEach(async () => {
  fixture.nowMs = 1_000_000;
  await fixture.reset();
  await fixture.project("dep");
});

async function open(agent = "a", facts: SessionFacts = fixtureFacts): Promise<SessionRef> {
  const reply = await fixture.sessions.open("dep", agent, facts);
  if (reply.kind !== "opened") throw new Error(`not opened: ${JSON.stringify(reply)}`);
  return requireRef(reply.session);
}

function beatOf(session: SessionRef, sequence: number, change: Partial<LeaseBeat> = {}): LeaseBeat {
  return {
    agent: "a",
    session,
    generation: 1,
    sequence,
    loopTurns: sequence,
    loopAgeMs: 0,
    runnerState: "READY",
    slotsUsed: 0,
    ...change,
  };
}

async function beat(session: SessionRef, sequence: number, change: Partial<LeaseBeat> = {}) {
  const reply = await fixture.sessions.renew("dep", "monitor-1", [
    beatOf(session, sequence, change),
  ]);
  return reply.kind === "renewed" ? reply.answers[0] : reply;
}

const record = async (agent = "a") => {
  const found = await fixture.sessions.load("dep", agent);
  if (found === undefined) throw new Error(`no agent ${agent}`);
  return found;
};

describe("opening", () => {
  it("R2: writes what the agent stated, and PROTOCOL-T7 numbers the session by epoch", async () => {
    const session = await open("a", { ...fixtureFacts, labels: { zone: "x" } });
    expect(session).toEqual({ epoch: Number(fixture.epoch), number: 1 });
    expect(await record()).toMatchObject({
      state: "OPEN",
      health: "REGISTERED",
      availability: "SCHEDULABLE",
      queues: ["default"],
      labels: { zone: "x" },
      slots: 4,
      generation: 1,
      beaten: false,
    });
  });

  it("PROTOCOL-T6: refuses a second instance under a living name and shows the conflict", async () => {
    await open();
    await fixture.pass("dep", 4_000);
    expect(await fixture.sessions.open("dep", "a", other)).toEqual({
      kind: "alive",
      ageMs: 4_000,
      freeInMs: 26_000,
    });
    expect((await record()).conflictAtMs).toBe(fixture.nowMs);
  });

  it("PROTOCOL-T6: the lock of the living instance is as good as its end: its session is replaced at once", async () => {
    const first = await open();
    const claim = { dial: 1, oldInstance: fixtureFacts.instance };
    const reply = await fixture.sessions.open("dep", "a", other, claim);
    expect(reply).toMatchObject({
      kind: "opened",
      superseded: formatRef(first),
      takeover: true,
    });
    expect(await record()).toMatchObject({ state: "OPEN", instance: other.instance });
    // The inventory of the new one is the word on everything that the old one held (C2).
    expect(await fixture.sessions.readGiveups("dep", 10)).toEqual([]);
    expect(await fixture.redis.hget("rmx:{dep}:session:a", "instanceFrom")).toBe(formatRef(first));
  });

  it("PROTOCOL-T6: a claim on an instance that the store does not have is none", async () => {
    await open();
    const claim = { dial: 1, oldInstance: "cc".repeat(16) };
    expect(await fixture.sessions.open("dep", "a", other, claim)).toMatchObject({ kind: "alive" });
  });

  it("PROTOCOL-T6: an agent whose guard has no lock is a conflict, even of a name that is not alive", async () => {
    const unguarded = { dial: 1, unguarded: true };
    expect(await fixture.sessions.open("dep", "a", other, unguarded)).toEqual({
      kind: "unguarded",
    });
    await open();
    expect(await fixture.sessions.open("dep", "a", other, unguarded)).toMatchObject({
      kind: "alive",
    });
    expect((await record()).conflictAtMs).toBe(fixture.nowMs);
    await fixture.pass("dep", fixtureLimitMs);
    expect(await fixture.sessions.open("dep", "a", other, unguarded)).toEqual({
      kind: "unguarded",
    });
  });

  it("PROTOCOL-L8: a hello that was held up on its way opens nothing over a later one of its instance", async () => {
    const opened = await fixture.sessions.open("dep", "a", fixtureFacts, { dial: 2 });
    if (opened.kind !== "opened") throw new Error("not opened");
    expect(await fixture.sessions.open("dep", "a", fixtureFacts, { dial: 1 })).toEqual({
      kind: "old_hello",
      session: opened.session,
    });
    const session = requireRef(opened.session);
    const claim = { session, instance: fixtureFacts.instance, keyDigest: fixtureFacts.keyDigest };
    const resume = { ...claim, generation: 2, dial: 4 };
    expect(await fixture.sessions.resume("dep", "a", resume, {})).toMatchObject({
      kind: "resumed",
    });
    expect(await fixture.sessions.open("dep", "a", fixtureFacts, { dial: 3 })).toMatchObject({
      kind: "old_hello",
    });
    expect(await fixture.sessions.open("dep", "a", fixtureFacts, { dial: 5 })).toMatchObject({
      kind: "opened",
    });
    // Another process counts its own.
    await fixture.pass("dep", fixtureLimitMs);
    expect(await fixture.sessions.open("dep", "a", other, { dial: 1 })).toMatchObject({
      kind: "opened",
    });
  });

  it("PROTOCOL-L8: lets the same instance open anew while ENDING, giving nothing up", async () => {
    const first = await open();
    await fixture.sessions.beginEnding("dep", "token_revoked", [{ agent: "a" }]);
    expect(await fixture.sessions.open("dep", "a", other)).toMatchObject({ kind: "alive" });
    const second = await open();
    expect(second.number).toBeGreaterThan(first.number);
    expect(await fixture.sessions.readGiveups("dep", 10)).toEqual([]);
    expect((await record()).reason).toBe("");
  });

  it("PROTOCOL-I9: numbers go on after a session ended and its hash was forgotten", async () => {
    const first = await open();
    await fixture.sessions.leave("dep", "a", first, true);
    await fixture.redis.del("rmx:{dep}:session:a");
    expect((await open()).number).toBeGreaterThan(first.number);
  });

  it("PROTOCOL-I9 D2: a session of a new epoch is greater than all before, in a store that went back to its beginning too", async () => {
    await open();
    const before = await open();
    expect(before.number).toBe(2);
    await fixture.redis.flushdb();
    const next = String(Number(fixture.epoch) + 1);
    await fixture.project("dep", next);
    fixture.setEpoch(next);
    try {
      await fixture.scan("dep");
      const after = await open();
      expect(after).toEqual({ epoch: before.epoch + 1, number: 1 });
      expect(compareRefs(after, before)).toBeGreaterThan(0);
      // A beat of the forgotten session tells its agent to open a new one.
      expect(await beat(before, 9)).toMatchObject({ kind: "ended" });
    } finally {
      fixture.setEpoch(fixture.epoch);
    }
  });

  it("PROTOCOL-D6: refuses without the deployment's configuration, PROTOCOL-D2: or of another epoch", async () => {
    expect(await fixture.sessions.open("nowhere", "a", fixtureFacts)).toEqual({
      kind: "refused",
      reason: "not_projected",
    });
    await fixture.project("dep", "5");
    expect(await fixture.sessions.open("dep", "a", fixtureFacts)).toEqual({
      kind: "refused",
      reason: "epoch_stale",
    });
  });
});

describe("resuming", () => {
  const claim = (session: SessionRef, generation: number) => ({
    session,
    instance: fixtureFacts.instance,
    generation,
    keyDigest: fixtureFacts.keyDigest,
  });

  it("PROTOCOL-L5: keeps the session for the same instance, at another registry", async () => {
    const session = await open();
    const facts = { registry: "registry-2" };
    expect(await fixture.sessions.resume("dep", "a", claim(session, 2), facts)).toMatchObject({
      kind: "resumed",
      availability: "SCHEDULABLE",
    });
    expect(await record()).toMatchObject({ session, generation: 2, registry: "registry-2" });
  });

  it("PROTOCOL-I13: takes only a higher generation", async () => {
    const session = await open();
    await fixture.sessions.resume("dep", "a", claim(session, 5), {});
    for (const generation of [1, 4, 5]) {
      expect(await fixture.sessions.resume("dep", "a", claim(session, generation), {})).toEqual({
        kind: "generation",
        generation: 5,
      });
    }
  });

  it("PROTOCOL-L5: refuses another instance, another key and another session alike", async () => {
    const session = await open();
    const good = claim(session, 2);
    const bad = [
      { ...good, instance: other.instance },
      { ...good, keyDigest: "11".repeat(32) },
      { ...good, session: { ...session, number: session.number + 1 } },
    ];
    for (const wrong of bad) {
      expect(await fixture.sessions.resume("dep", "a", wrong, {})).toEqual({ kind: "unknown" });
    }
    expect(await fixture.sessions.resume("dep", "nobody", good, {})).toEqual({ kind: "unknown" });
  });

  it("PROTOCOL-L7: refuses a session that is ENDING or ENDED, with the reason", async () => {
    const session = await open();
    await fixture.sessions.beginEnding("dep", "token_revoked", [{ agent: "a", session }]);
    expect(await fixture.sessions.resume("dep", "a", claim(session, 2), {})).toEqual({
      kind: "ending",
      reason: "token_revoked",
    });
    await fixture.sessions.leave("dep", "a", session, true);
    expect(await fixture.sessions.resume("dep", "a", claim(session, 3), {})).toEqual({
      kind: "ended",
      reason: "token_revoked",
    });
  });
});

describe("beats", () => {
  it("PROTOCOL-L1: the highest sequence counts, an older one renews nothing", async () => {
    const session = await open();
    fixture.nowMs += 100;
    expect(await beat(session, 5)).toMatchObject({ kind: "taken", sequence: 5, health: "HEALTHY" });
    const renewedAt = fixture.nowMs;
    fixture.nowMs += 100;
    expect(await beat(session, 4)).toMatchObject({ kind: "taken", sequence: 5, changed: false });
    expect(await beat(session, 5)).toMatchObject({ kind: "taken", sequence: 5 });
    expect((await record()).beatAtMs).toBe(renewedAt);
  });

  it("PROTOCOL-L1: a beat of an ended session is never acknowledged", async () => {
    const session = await open();
    await fixture.sessions.leave("dep", "a", session, true);
    expect(await beat(session, 1)).toEqual({ kind: "ended", reason: "goodbye" });
    await open();
    expect(await beat(session, 2)).toEqual({ kind: "ended", reason: "superseded" });
    expect(await beat(session, 2, { agent: "nobody" })).toEqual({
      kind: "ended",
      reason: "session_unknown",
    });
  });

  it("PROTOCOL-L2: a beat that comes after the limit ends the session instead of reviving it", async () => {
    const session = await open();
    await fixture.pass("dep", 29_999);
    fixture.nowMs += 1;
    // This scan counts and judges nobody: the beat is there before the one that would find it.
    await fixture.scan("dep", 0);
    expect(await beat(session, 1)).toEqual({ kind: "ended", reason: "lease_expired" });
    expect(await record()).toMatchObject({ state: "ENDED", health: "FAILED" });
    expect(await fixture.sessions.readGiveups("dep", 10)).toMatchObject([
      { agent: "a", session, reason: "lease_expired" },
    ]);
  });

  it("PROTOCOL-L8: a beat of an ENDING session renews nothing", async () => {
    const session = await open();
    await fixture.sessions.beginEnding("dep", "deleted", [{ agent: "a" }]);
    fixture.nowMs += 1_000;
    expect(await beat(session, 1)).toEqual({ kind: "ending", reason: "deleted" });
    expect((await record()).beatAtMs).toBe(1_000_000);
  });

  it("PROTOCOL-L5: a beat of an older stream renews nothing", async () => {
    const session = await open();
    const { instance, keyDigest } = fixtureFacts;
    await fixture.sessions.resume("dep", "a", { session, instance, keyDigest, generation: 2 }, {});
    expect(await beat(session, 9)).toEqual({ kind: "old_stream" });
    expect(await beat(session, 9, { generation: 2 })).toMatchObject({ kind: "taken" });
  });

  it("PROTOCOL-T5: a loop that stands still is DEGRADED, and HEALTHY again when it turns", async () => {
    const session = await open();
    await beat(session, 1, { loopTurns: 7 });
    fixture.nowMs += 10_000;
    expect(await beat(session, 2, { loopTurns: 7 })).toMatchObject({
      health: "DEGRADED",
      reason: "loop_stalled",
      changed: true,
    });
    expect(await beat(session, 3, { loopTurns: 8 })).toMatchObject({ health: "HEALTHY" });
    expect(await beat(session, 4, { loopTurns: 9, loopAgeMs: 10_000 })).toMatchObject({
      reason: "loop_stalled",
    });
  });

  it.each(["STARTING", "LOST"] as const)(
    "a runner that is %s degrades its agent",
    async (state) => {
      const session = await open();
      expect(await beat(session, 1, { runnerState: state })).toMatchObject({
        kind: "taken",
        health: "DEGRADED",
        reason: `runner_${state.toLowerCase()}`,
      });
    },
  );

  it("R2: takes changed capabilities, and an answer per beat in order", async () => {
    const first = await open("a");
    const second = await open("b");
    const reply = await fixture.sessions.renew("dep", "monitor-1", [
      beatOf(first, 1, { capabilities: { slots: 9, queues: ["x"] } }),
      beatOf(first, 1, { agent: "nobody" }),
      beatOf(second, 3, { agent: "b", slotsUsed: 2 }),
    ]);
    expect(reply).toMatchObject({
      kind: "renewed",
      intervalVersion: 1,
      answers: [{ kind: "taken" }, { kind: "ended" }, { kind: "taken", sequence: 3 }],
    });
    expect(await record("a")).toMatchObject({ slots: 9, queues: ["x"] });
    expect(await record("b")).toMatchObject({ slotsUsed: 2 });
  });
});

describe("the scan", () => {
  const expire = (rows = 100) => fixture.scan("dep", rows);
  const pass = (ms: number) => fixture.pass("dep", ms);

  it("R18: one missed beat degrades, three missed fail, and PROTOCOL-L2 the verdict is durable", async () => {
    const session = await open();
    await beat(session, 1);
    expect(await pass(12_499)).toEqual([]);
    expect(await pass(1)).toMatchObject([
      { agent: "a", health: "DEGRADED", reason: "beats_missed" },
    ]);
    expect(await pass(17_499)).toEqual([]);
    expect(await pass(1)).toMatchObject([
      { agent: "a", health: "FAILED", reason: "lease_expired" },
    ]);
    expect(await record()).toMatchObject({ state: "ENDED", reason: "lease_expired", registry: "" });
    expect(await expire()).toMatchObject({ verdicts: [] });
    expect(await fixture.sessions.readGiveups("dep", 10)).toMatchObject([{ agent: "a", session }]);
  });

  it("PROTOCOL-L2: one of many monitors wins", async () => {
    await open();
    await pass(29_999);
    fixture.nowMs += 1;
    const replies = await Promise.all([expire(), expire(), expire()]);
    const verdicts = replies.flatMap((reply) => (reply.kind === "scanned" ? reply.verdicts : []));
    expect(verdicts).toHaveLength(1);
  });

  it("PROTOCOL-L8: an ENDING session ends SL after its last acknowledged beat, with its reason", async () => {
    const session = await open();
    await beat(session, 1);
    await pass(5_000);
    await fixture.sessions.beginEndingOfToken("dep", "token_revoked", fixtureFacts.token);
    expect(await pass(24_999)).toEqual([]);
    await beat(session, 2);
    expect(await pass(1)).toMatchObject([{ reason: "token_revoked" }]);
    expect(await fixture.sessions.readGiveups("dep", 10)).toMatchObject([
      { session, reason: "token_revoked" },
    ]);
  });

  it("judges a bounded number of agents per call and says when there are more", async () => {
    for (const agent of ["a", "b", "c"]) await open(agent);
    await fixture.redis.hset("rmx:{dep}:config", "brake", "off");
    await pass(29_999);
    fixture.nowMs += 1;
    expect(await expire(2)).toMatchObject({ more: true, verdicts: [{}, {}] });
    expect(await expire(2)).toMatchObject({ more: false, verdicts: [{}] });
  });

  it("PROTOCOL-L5: a stream that is down degrades, and a beat through the next one heals", async () => {
    const session = await open();
    await beat(session, 1);
    const down = { agent: "a", session, registry: "registry-1", generation: 1 };
    const noted = await fixture.sessions.noteStreamDown("dep", [down]);
    expect(noted).toEqual({ kind: "noted", count: 1 });
    expect(await record()).toMatchObject({ health: "DEGRADED", healthReason: "stream_down" });
    const { instance, keyDigest } = fixtureFacts;
    const claim = { session, instance, keyDigest, generation: 2 };
    await fixture.sessions.resume("dep", "a", claim, { registry: "registry-2" });
    expect(await fixture.sessions.noteStreamDown("dep", [down])).toEqual({
      kind: "noted",
      count: 0,
    });
    expect(await beat(session, 2, { generation: 2 })).toMatchObject({ health: "HEALTHY" });
  });
});
