// SPDX-License-Identifier: Apache-2.0
// Proves the brake (PROTOCOL L4, I12): who it holds, for how long, how fast it lets go, and who is exempt.
import { requireRef } from "@remex/domain";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { fixtureFacts, type SessionFixture, startSessionFixture } from "./session-fixture.ts";
import type { SessionFacts } from "./session-record.ts";

const limitMs = 30_000;
let fixture: SessionFixture;
beforeAll(async () => {
  fixture = await startSessionFixture();
});
afterAll(() => fixture.stop());
beforeEach(async () => {
  fixture.nowMs = 1_000_000;
  fixture.view = {
    ...{ monitor: "monitor-1", first: false, living: ["registry-1", "registry-2"] },
    heard: { "registry-1": 0, "registry-2": 0 },
  };
  await fixture.reset();
  await fixture.project("dep");
});

const sessions = new Map<string, string>();
let sequence = 0;

async function open(agents: readonly string[], change: Partial<SessionFacts> = {}): Promise<void> {
  for (const agent of agents) {
    const reply = await fixture.sessions.open("dep", agent, { ...fixtureFacts, ...change });
    if (reply.kind !== "opened") throw new Error(reply.kind);
    sessions.set(agent, reply.session);
  }
  await beat(agents);
}

async function beat(agents: readonly string[]): Promise<readonly string[]> {
  sequence += 1;
  const beats = agents.map((agent) => ({
    ...{ agent, session: requireRef(sessions.get(agent) ?? ""), generation: 1, sequence },
    ...{ loopTurns: sequence, loopAgeMs: 0, runnerState: "READY" as const, slotsUsed: 0 },
  }));
  const reply = await fixture.sessions.renew("dep", "monitor-1", beats);
  return reply.kind === "renewed" ? reply.answers.map(({ kind }) => kind) : [];
}

/** Time passes while these agents beat; answers when each other one failed, counted from the start. */
async function pass(ms: number, beating: readonly string[] = []): Promise<Map<string, number>> {
  const failed = new Map<string, number>();
  for (let at = 250; at <= ms; at += 250) {
    if (at % 2_500 === 0 && beating.length > 0) await beat(beating);
    for (const { agent, health } of await fixture.pass("dep", 250)) {
      if (health === "FAILED") failed.set(agent, at);
    }
  }
  return failed;
}

const names = (count: number, prefix = "a") =>
  Array.from({ length: count }, (_, index) => `${prefix}${String(index).padStart(3, "0")}`);
const healthOf = async (agent: string) => (await fixture.sessions.load("dep", agent))?.health;
const brakes = () => fixture.sessions.readBrakes("dep");

describe("what engages the brake", () => {
  it("PROTOCOL-L4: at 100 % all are SUSPECT, kept for one more SL, then ended one per second", async () => {
    await open(names(5));
    expect(await pass(limitMs)).toEqual(new Map());
    expect(await brakes()).toMatchObject([
      { scope: "*", base: 5, budget: 1, members: 5, suspects: 5, ended: 0 },
    ]);
    expect(await healthOf("a000")).toBe("SUSPECT");
    expect((await fixture.sessions.load("dep", "a000"))?.state).toBe("OPEN");
    const failed = await pass(limitMs + 10_000);
    const instants = [...failed.values()].sort((left, right) => left - right);
    expect(instants).toEqual([0, 1, 2, 3, 4].map((index) => limitMs + index * 1_000));
    expect(await brakes()).toEqual([]);
  });

  it("PROTOCOL-L4: an agent that is silent for more than 2H is a member before it is due itself", async () => {
    await open(names(3));
    await pass(5_000);
    await open(["later"]);
    await pass(limitMs - 5_000);
    expect(await healthOf("later")).toBe("SUSPECT");
    expect(await brakes()).toMatchObject([{ members: 4 }]);
  });

  it("PROTOCOL-L4: two silent agents are not enough: the plain rule", async () => {
    await open(names(2));
    expect((await pass(limitMs)).size).toBe(2);
  });

  it("PROTOCOL-L4: 55 % of the live agents are not enough, more are", async () => {
    const living = names(9, "b");
    await open([...names(11), ...living]);
    expect((await pass(limitMs, living)).size).toBe(11);
    const more = names(12, "c");
    await open(more);
    expect((await pass(limitMs, living)).size).toBe(0);
    expect(await brakes()).toMatchObject([{ base: 21, members: 12 }]);
  });

  it("PROTOCOL-L4: most agents of one registry are enough", async () => {
    const living = names(20, "b");
    await open(names(4));
    await open(living, { registry: "registry-2" });
    expect((await pass(limitMs, living)).size).toBe(0);
    expect(await brakes()).toMatchObject([{ scope: "registry-1", base: 4, members: 4 }]);
  });

  it("PROTOCOL-L4 G3: triggerers are exempt, and count on neither side", async () => {
    await open(names(3), { kind: "TRIGGERER" });
    await open(["w1", "w2"]);
    const failed = await pass(limitMs);
    expect([...failed.keys()].sort()).toEqual([...names(3), "w1", "w2"]);
  });

  it("PROTOCOL-L4: by setting off: the plain rule, for those it held too", async () => {
    await open(names(5));
    await pass(limitMs);
    await fixture.redis.hset("rmx:{dep}:config", "brake", "off");
    expect((await pass(250)).size).toBe(5);
    await open(names(5, "b"));
    expect((await pass(limitMs)).size).toBe(5);
  });

  it("PROTOCOL-L4: a beat that finds its lease expired before the scan does is held to the brake as well", async () => {
    await open(names(5));
    await pass(limitMs - 250);
    fixture.nowMs += 250;
    await fixture.scan("dep", 0);
    expect(await beat(["a000"])).toEqual(["taken"]);
    expect(await healthOf("a000")).toBe("HEALTHY");
  });

  it("PROTOCOL-L8: ENDING sessions end by their own rule", async () => {
    await open(names(5));
    await fixture.sessions.beginEnding(
      "dep",
      "deleted",
      names(5).map((agent) => ({ agent })),
    );
    expect((await pass(limitMs)).size).toBe(5);
  });
});

describe("while it is engaged", () => {
  it("PROTOCOL-L4: a beat returns a SUSPECT", async () => {
    await open(names(5));
    await pass(limitMs);
    expect(await beat(["a001", "a003"])).toEqual(["taken", "taken"]);
    expect(await healthOf("a001")).toBe("HEALTHY");
    expect(await brakes()).toMatchObject([{ suspects: 3 }]);
    const failed = await pass(limitMs + 10_000, ["a001", "a003"]);
    expect([...failed.keys()].sort()).toEqual(["a000", "a002", "a004"]);
  });

  it("PROTOCOL-L4 I12: base and budget stay as members leave and others fall silent", async () => {
    const all = names(250);
    await open(all);
    await pass(limitMs);
    expect(await brakes()).toMatchObject([{ base: 250, budget: 2 }]);
    const returned = all.slice(0, 200);
    await beat(returned);
    const failed = await pass(limitMs + 20_000, returned);
    const perSecond = new Map<number, number>();
    for (const at of failed.values()) {
      const second = Math.floor(at / 1_000);
      perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
    }
    expect(Math.max(...perSecond.values())).toBe(2);
    expect(await brakes()).toMatchObject([{ base: 250, budget: 2 }]);
  });

  it("PROTOCOL-L4 I12: who falls due while suspects are ended joins them and escapes no budget", async () => {
    const first = names(6);
    const second = names(6, "b");
    await open(first);
    await open(second);
    await pass(limitMs, second);
    expect((await brakes()).map(({ members }) => members)).toEqual([]);
    // 6 of 12 are not more than 55 %: they failed by the plain rule. Of 6 that are left all fall silent.
    expect((await pass(limitMs)).size).toBe(0);
    await open(["c1"]);
    await pass(limitMs);
    expect(await brakes()).toMatchObject([{ base: 6, budget: 1, members: 7 }]);
  });

  it("PROTOCOL-L4 I12: one that is no longer among three, or more than 55 %, joins while it holds", async () => {
    const all = names(5);
    const [first, second, third, fourth, fifth] = all as [string, string, string, string, string];
    await open(all);
    await pass(limitMs, [fourth, fifth]);
    expect(await brakes()).toMatchObject([{ members: 3, suspects: 3 }]);
    // Two come back. One is left, and now a fourth falls silent: one of four.
    await beat([first, second]);
    const failed = await pass(limitMs - 500, [first, second, fifth]);
    expect(failed).toEqual(new Map());
    expect(await brakes()).toMatchObject([{ base: 5, members: 3, suspects: 1 }]);
    const later = await pass(limitMs + 10_000, [first, second, fifth]);
    expect(await brakes()).toEqual([]);
    const [third0, fourth0] = [later.get(third) ?? 0, later.get(fourth) ?? 0];
    expect(third0).toBe(500);
    // Due at the moment at which the third one's time was over, it has one more limit of its own.
    expect(fourth0 - third0).toBeGreaterThanOrEqual(1_000);
  });

  it("PROTOCOL-L3 L4: the time that suspects are kept for stands still in an outage", async () => {
    await open(names(5));
    await pass(limitMs + 20_000);
    fixture.nowMs += 3_600_000;
    expect((await pass(9_000)).size).toBe(0);
  });

  it("PROTOCOL-L4: an operator releases it", async () => {
    await open(names(5));
    await pass(limitMs);
    expect(await fixture.sessions.releaseBrake("dep", "*")).toEqual({
      kind: "changed",
      scopes: ["*"],
    });
    expect((await pass(250)).size).toBe(5);
    expect(await fixture.sessions.releaseBrake("dep", "*")).toEqual({
      kind: "changed",
      scopes: [],
    });
  });

  it("PROTOCOL-L4: an operator extends it", async () => {
    await open(names(5));
    await pass(limitMs);
    await fixture.sessions.extendBrake("dep", "", 60_000);
    expect((await pass(limitMs + 59_000)).size).toBe(0);
    expect((await pass(1_000)).size).toBe(1);
  });

  it("PROTOCOL-L4: an agent that leaves is none of its members any more", async () => {
    await open(names(3));
    await pass(limitMs);
    const session = requireRef(sessions.get("a000") ?? "");
    await fixture.sessions.leave("dep", "a000", session, true);
    expect(await brakes()).toMatchObject([{ suspects: 2 }]);
  });
});
