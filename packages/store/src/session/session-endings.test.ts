// SPDX-License-Identifier: Apache-2.0
// Proves how agents leave, are forgotten and are read, against the functions in a real Redis.
import { requireRef, type SessionRef } from "@remex/domain";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { channels } from "../core/keys.ts";
import { fixtureFacts, type SessionFixture, startSessionFixture } from "./session-fixture.ts";
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

const record = async (agent = "a") => {
  const found = await fixture.sessions.load("dep", agent);
  if (found === undefined) throw new Error(`no agent ${agent}`);
  return found;
};

describe("leaving and ending", () => {
  it("an empty goodbye leaves at once, what was held is given up", async () => {
    const session = await open();
    expect(await fixture.sessions.leave("dep", "a", session, true)).toEqual({ kind: "left" });
    expect(await record()).toMatchObject({ state: "ENDED", reason: "goodbye", health: "LEFT" });
    expect(await fixture.sessions.readGiveups("dep", 10)).toHaveLength(1);
    expect(await fixture.sessions.leave("dep", "a", session, true)).toEqual({ kind: "stale" });
    await open("a", other);
  });

  it("PROTOCOL-L8: a goodbye that is not empty goes by the lease", async () => {
    const session = await open();
    expect(await fixture.sessions.leave("dep", "a", session, false)).toEqual({
      kind: "ending",
      reason: "goodbye",
    });
    expect((await record()).state).toBe("ENDING");
  });

  it("PROTOCOL-L7: a revoked token's sessions end, those of others stay", async () => {
    await open("a");
    await open("b", { ...fixtureFacts, token: "tok00002" });
    const reply = await fixture.sessions.beginEndingOfToken("dep", "token_revoked", "tok00001");
    expect(reply).toMatchObject({ kind: "ending", sessions: [{ agent: "a" }] });
    expect(await record("b")).toMatchObject({ state: "OPEN" });
  });

  it("SEC-T8: an open session is bound to a newer token, and the old one's end does not touch it", async () => {
    const session = await open();
    const rebound = await fixture.sessions.rebindToken("dep", "a", session, "tok00002", ["gpu"]);
    expect(rebound).toEqual({ kind: "rebound" });
    await fixture.sessions.beginEndingOfToken("dep", "token_revoked", "tok00001");
    expect(await record()).toMatchObject({
      state: "OPEN",
      token: "tok00002",
      scopeQueues: ["gpu"],
    });
    await fixture.sessions.beginEndingOfToken("dep", "token_revoked", "tok00002");
    const again = await fixture.sessions.rebindToken("dep", "a", session, "tok00003", []);
    expect(again).toEqual({ kind: "stale" });
  });

  it("give-ups are cleared by entry, and stale reports counted on known agents alone", async () => {
    const session = await open();
    await fixture.sessions.leave("dep", "a", session, true);
    const giveups = await fixture.sessions.readGiveups("dep", 10);
    expect(await fixture.sessions.clearGiveups("dep", giveups)).toMatchObject({ count: 1 });
    expect(await fixture.sessions.readGiveups("dep", 10)).toEqual([]);
    const counts = [
      { agent: "a", count: 2 },
      { agent: "nobody", count: 1 },
    ];
    await fixture.sessions.countStaleReports("dep", counts);
    expect((await record()).staleReports).toBe(2);
    expect(await fixture.sessions.load("dep", "nobody")).toBeUndefined();
  });
});

describe("forgetting", () => {
  const hourMs = 3_600_000;
  const forget = async () => {
    const reply = await fixture.sessions.forget("dep", 10);
    return reply.kind === "forgotten" ? reply.agents : reply;
  };
  const giveUpAll = async () =>
    fixture.sessions.clearGiveups("dep", await fixture.sessions.readGiveups("dep", 10));

  it("an agent that left is shown for an hour, one that failed for a day", async () => {
    const left = await open("left");
    await open("failed");
    await fixture.sessions.leave("dep", "left", left, true);
    await fixture.pass("dep", 30_000);
    await giveUpAll();
    expect(await forget()).toEqual([]);
    fixture.nowMs += hourMs;
    expect(await forget()).toEqual(["left"]);
    fixture.nowMs += 23 * hourMs;
    expect(await forget()).toEqual(["failed"]);
    expect((await fixture.sessions.list("dep", "", 10)).agents).toEqual([]);
    expect(await fixture.redis.keys("rmx:{dep}:session:*")).toEqual([]);
  });

  it("PROTOCOL-I9: its name begins with a greater session number afterwards", async () => {
    const first = await open();
    await fixture.sessions.leave("dep", "a", first, true);
    await giveUpAll();
    fixture.nowMs += hourMs;
    expect(await forget()).toEqual(["a"]);
    expect((await open()).number).toBeGreaterThan(first.number);
  });

  it("PROTOCOL-H1: one that is back, or has work that is held or to be given up, is kept", async () => {
    for (const agent of ["back", "gives-up", "holds"]) {
      await fixture.sessions.leave("dep", agent, await open(agent), true);
    }
    await open("back");
    const [, entry] = await fixture.sessions.readGiveups("dep", 10);
    await giveUpAll();
    await fixture.redis.zadd("rmx:{dep}:giveup", 1, entry?.entry ?? "");
    await fixture.redis.hset("rmx:{dep}:held:holds", { slots: 1, t_1: "1.1" });
    fixture.nowMs += hourMs;
    expect(await forget()).toEqual([]);
    expect((await fixture.sessions.list("dep", "", 10)).agents).toHaveLength(3);
  });
});

describe("reading", () => {
  it("R11: lists by name in pages, and reads some by name", async () => {
    for (const agent of ["c", "a", "b"]) await open(agent);
    const page = await fixture.sessions.list("dep", "", 2);
    expect(page.agents.map(({ agent }) => agent)).toEqual(["a", "b"]);
    expect(page.nowMs).toBe(fixture.nowMs);
    const rest = await fixture.sessions.list("dep", "b", 2);
    expect(rest.agents.map(({ agent }) => agent)).toEqual(["c"]);
    const some = await fixture.sessions.get("dep", ["b", "nobody"]);
    expect(some.agents.map(({ agent }) => agent)).toEqual(["b"]);
  });

  it("R18: changes and give-ups are published", async () => {
    const heard: [string, unknown][] = [];
    const listener = fixture.redis.duplicate();
    await listener.connect();
    await listener.subscribe(channels.agents, channels.wake);
    listener.on("message", (channel, text) => heard.push([channel, JSON.parse(text)]));
    const session = await open();
    await fixture.sessions.leave("dep", "a", session, true);
    await listener.unsubscribe();
    listener.disconnect();
    expect(heard).toContainEqual([channels.agents, { deployment: "dep", agents: ["a"] }]);
    expect(heard).toContainEqual([channels.wake, { deployment: "dep", giveup: true }]);
  });
});
