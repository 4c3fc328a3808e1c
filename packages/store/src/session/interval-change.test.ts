// SPDX-License-Identifier: Apache-2.0
// Proves that a change of the interval never lets the control plane give up before the agent does (T4).
import { requireRef, type SessionRef } from "@remex/domain";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { fixtureFacts, type SessionFixture, startSessionFixture } from "./session-fixture.ts";

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

const welcomed = (echoVersion: number, echoHeartbeatMs: number) => ({
  ...{ echoVersion, echoHeartbeatMs },
});

async function open(facts = welcomed(1, 10_000)): Promise<SessionRef> {
  const reply = await fixture.sessions.open("dep", "a", { ...fixtureFacts, ...facts });
  if (reply.kind !== "opened") throw new Error(reply.kind);
  return requireRef(reply.session);
}

async function beat(session: SessionRef, sequence: number, intervalVersion: number) {
  const reply = await fixture.sessions.renew("dep", "monitor-1", [
    {
      ...{ agent: "a", session, generation: 1, sequence, intervalVersion, loopTurns: sequence },
      ...{ loopAgeMs: 0, runnerState: "READY", slotsUsed: 0 },
    },
  ]);
  return reply.kind === "renewed" ? reply.intervalVersion : 0;
}

async function change(heartbeatMs: number, intervalVersion: number): Promise<void> {
  const limitMs = 3 * heartbeatMs;
  await fixture.redis.hset("rmx:{dep}:config", { heartbeatMs, limitMs, intervalVersion });
}

/** Time until the agent, which is silent from now on, has failed. */
async function untilFailed(): Promise<number> {
  const fromMs = fixture.nowMs;
  for (;;) {
    const verdicts = await fixture.pass("dep", 250);
    if (verdicts.some(({ health }) => health === "FAILED")) return fixture.nowMs - fromMs;
    if (fixture.nowMs - fromMs > 200_000) return Number.POSITIVE_INFINITY;
  }
}

describe("while the interval changes", () => {
  it("PROTOCOL-T4: a shorter one holds for an agent only once a beat that echoes it is acknowledged", async () => {
    const session = await open();
    await beat(session, 1, 1);
    await change(4_000, 2);
    expect(await beat(session, 2, 1)).toBe(2);
    expect(await untilFailed()).toBe(30_000);
  });

  it("PROTOCOL-T4: it holds from that beat on", async () => {
    const session = await open();
    await beat(session, 1, 1);
    await change(4_000, 2);
    await beat(session, 2, 2);
    expect(await untilFailed()).toBe(12_000);
  });

  it("PROTOCOL-T4: a longer one holds at once", async () => {
    const session = await open();
    await beat(session, 1, 1);
    await change(20_000, 2);
    expect(await untilFailed()).toBe(60_000);
  });

  it("PROTOCOL-T4: an agent that was welcomed with the older, longer one is judged by it", async () => {
    await change(4_000, 2);
    await open(welcomed(1, 10_000));
    expect(await untilFailed()).toBe(30_000);
  });

  // Once the second change was in force before any beat had echoed the first: such an agent then held a
  // lease of 40 s in a session that was judged by 30 s.
  it("PROTOCOL-T4 I8: an interval that came and went meanwhile holds for an agent that echoes it", async () => {
    const session = await open();
    await change(20_000, 2);
    await fixture.scan("dep");
    await change(4_000, 3);
    await beat(session, 1, 2);
    expect(await untilFailed()).toBe(60_000);
  });

  it("PROTOCOL-T4 I8: an agent that echoes a version that nobody remembers is judged by the longest", async () => {
    const session = await open();
    await change(4_000, 40);
    await beat(session, 1, 2);
    expect(await untilFailed()).toBe(180_000);
  });

  it("PROTOCOL-T4: an agent that echoes none is judged by what it was welcomed with", async () => {
    const session = await open();
    await change(4_000, 2);
    await beat(session, 1, 0);
    expect(await untilFailed()).toBe(30_000);
  });
});
