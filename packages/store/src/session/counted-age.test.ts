// SPDX-License-Identifier: Apache-2.0
// Proves that an agent's age counts only time in which its beat could be heard (PROTOCOL L3, T2, L6).
import { requireRef, type SessionRef } from "@remex/domain";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { MonitorView } from "./lease-functions.ts";
import {
  fixtureFacts,
  fixtureLimitMs,
  type SessionFixture,
  startSessionFixture,
} from "./session-fixture.ts";

let fixture: SessionFixture;
beforeAll(async () => {
  fixture = await startSessionFixture();
});
afterAll(() => fixture.stop());
beforeEach(async () => {
  fixture.nowMs = 1_000_000;
  fixture.view = seen("monitor-1", ["registry-1"]);
  await fixture.reset();
  await fixture.project("dep");
});

function seen(monitor: string, heard: readonly string[], living = ["registry-1"]): MonitorView {
  const quiet = Object.fromEntries(heard.map((registry) => [registry, 0]));
  return { monitor, first: false, heard: quiet, living };
}

async function open(agent = "a"): Promise<SessionRef> {
  const reply = await fixture.sessions.open("dep", agent, fixtureFacts);
  if (reply.kind !== "opened") throw new Error(reply.kind);
  return requireRef(reply.session);
}

async function beat(session: SessionRef, sequence: number, monitor = "monitor-1") {
  const reply = await fixture.sessions.renew("dep", monitor, [
    {
      ...{ agent: "a", session, generation: 1, sequence, loopTurns: sequence, loopAgeMs: 0 },
      ...{ runnerState: "READY", slotsUsed: 0 },
    },
  ]);
  return reply.kind === "renewed" ? reply.answers[0]?.kind : reply.kind;
}

const pass = (ms: number) => fixture.pass("dep", ms);
/** Time without any scan: nobody was there. */
const gap = (ms: number) => {
  fixture.nowMs += ms;
};
const failures = (verdicts: Awaited<ReturnType<typeof pass>>) =>
  verdicts.filter(({ health }) => health === "FAILED").length;
/** Time of scans until the agent has failed. */
async function untilFailed(): Promise<number> {
  const fromMs = fixture.nowMs;
  while (failures(await pass(250)) === 0) {
    if (fixture.nowMs - fromMs > 10 * fixtureLimitMs) return Number.POSITIVE_INFINITY;
  }
  return fixture.nowMs - fromMs;
}

describe("the monitor and the store", () => {
  it("PROTOCOL-L3 R24: an outage of any length fails nobody, and ages start at zero after it", async () => {
    const session = await open();
    await beat(session, 1);
    await pass(29_000);
    gap(24 * 3_600_000);
    expect(failures(await pass(0))).toBe(0);
    expect(await untilFailed()).toBe(fixtureLimitMs);
  });

  it("PROTOCOL-L3 I5: a beat that is the first thing after an outage renews the lease", async () => {
    const session = await open();
    await beat(session, 1);
    await pass(29_000);
    gap(3_600_000);
    expect(await beat(session, 2)).toBe("taken");
  });

  it("PROTOCOL-L3: a gap of less than an interval does not count, and the age goes on after it", async () => {
    await beat(await open(), 1);
    await pass(10_000);
    gap(9_000);
    await pass(0);
    expect(await untilFailed()).toBe(20_000);
  });

  it("PROTOCOL-L3: the restart of the only living monitor starts ages at zero", async () => {
    await beat(await open(), 1);
    await pass(29_000);
    fixture.view = { ...seen("monitor-2", ["registry-1"]), first: true };
    // The old one's last scan must be a while ago, else two of them live.
    gap(3_500);
    await pass(0);
    fixture.view = seen("monitor-2", ["registry-1"]);
    expect(await untilFailed()).toBe(fixtureLimitMs);
  });

  it("PROTOCOL-L3: the start of a second monitor changes no age", async () => {
    await beat(await open(), 1);
    await pass(29_000);
    const second = { ...seen("monitor-2", ["registry-1"]), first: true };
    await fixture.sessions.expire("dep", 10, second);
    expect(await untilFailed()).toBe(1_000);
  });

  it("PROTOCOL-L3: after a failover ages start at zero", async () => {
    await beat(await open(), 1);
    await pass(29_000);
    const epoch = String(Number(fixture.epoch) + 1);
    await fixture.redis.hset("rmx:{dep}:config", "epoch", epoch);
    fixture.setEpoch(epoch);
    await pass(0);
    expect(await untilFailed()).toBe(fixtureLimitMs);
  });

  it("PROTOCOL-T2: a jump of Redis TIME ahead fails nobody", async () => {
    await beat(await open(), 1);
    await pass(10_000);
    gap(3_600_000);
    await pass(0);
    expect(await untilFailed()).toBe(fixtureLimitMs);
  });

  it("PROTOCOL-T2: a jump ahead that is no gap does not count either, by the monitor's own clock", async () => {
    await beat(await open(), 1);
    const byOwnClock = async () => {
      gap(250);
      const view = { ...fixture.view, sinceMs: 250 };
      const reply = await fixture.sessions.expire("dep", 10, view);
      return reply.kind === "scanned" ? failures([...reply.verdicts]) : 0;
    };
    let passed = 0;
    let failed = 0;
    while (failed === 0 && passed < 2 * fixtureLimitMs) {
      // Every fifth look finds Redis TIME 2 s ahead: half as fast again as time passes.
      if (passed % 1_250 === 0) fixture.nowMs += 2_000;
      failed = await byOwnClock();
      passed += 250;
    }
    expect(passed).toBeGreaterThanOrEqual(fixtureLimitMs);
  });

  it("PROTOCOL-T2: after a jump back agents are judged as before, by counted time", async () => {
    await beat(await open(), 1);
    await pass(10_000);
    gap(-600_000);
    await pass(0);
    expect(await untilFailed()).toBe(20_000);
  });

  it("PROTOCOL-T2 L8: a jump ahead does not end an ENDING session early", async () => {
    await beat(await open(), 1);
    await fixture.sessions.beginEnding("dep", "token_revoked", [{ agent: "a" }]);
    await pass(5_000);
    gap(3_600_000);
    expect(failures(await pass(0))).toBe(0);
    expect((await fixture.sessions.load("dep", "a"))?.state).toBe("ENDING");
  });
});

describe("the agent's last registry", () => {
  it("PROTOCOL-L3 I5: while no monitor hears it, its agents do not age", async () => {
    await beat(await open(), 1);
    await pass(10_000);
    fixture.view = seen("monitor-1", []);
    expect(failures(await pass(10 * fixtureLimitMs))).toBe(0);
    fixture.view = seen("monitor-1", ["registry-1"]);
    // The link was down for more than an interval: the age begins at zero.
    expect(await untilFailed()).toBeGreaterThanOrEqual(fixtureLimitMs);
  });

  it("PROTOCOL-L3: time counts up to its last frame alone", async () => {
    await beat(await open(), 1);
    for (let quiet = 0; quiet < fixtureLimitMs + 5_000; quiet += 250) {
      gap(250);
      const view = { ...fixture.view, heard: { "registry-1": quiet + 250 } };
      await fixture.sessions.expire("dep", 10, view);
    }
    expect((await fixture.sessions.load("dep", "a"))?.state).toBe("OPEN");
  });

  it("PROTOCOL-L3: when its record expires the age begins at zero, and its agents have a full SL", async () => {
    await beat(await open(), 1);
    await pass(25_000);
    fixture.view = seen("monitor-1", []);
    await pass(9_000);
    fixture.view = seen("monitor-1", ["registry-2"], ["registry-2"]);
    await pass(250);
    expect(await untilFailed()).toBe(fixtureLimitMs);
  });

  it("PROTOCOL-L3 I5: while there is no registry at all, nobody ages", async () => {
    await beat(await open(), 1);
    fixture.view = seen("monitor-1", [], []);
    expect(failures(await pass(10 * fixtureLimitMs))).toBe(0);
    fixture.view = seen("monitor-1", ["registry-2"], ["registry-2"]);
    await pass(0);
    expect(await untilFailed()).toBe(fixtureLimitMs);
  });

  it("PROTOCOL-L3: that holds as well when its way had been silent before", async () => {
    await beat(await open(), 1, "monitor-2");
    await fixture.sessions.expire("dep", 10, seen("monitor-2", ["registry-1"]));
    await pass(25_000);
    fixture.view = seen("monitor-1", ["registry-2"], ["registry-2"]);
    await pass(0);
    expect(await untilFailed()).toBe(fixtureLimitMs);
  });

  it("PROTOCOL-L3: the other monitor counts once it is clear that beats no longer go by the silent one", async () => {
    await beat(await open(), 1, "monitor-2");
    await fixture.sessions.expire("dep", 10, seen("monitor-2", ["registry-1"]));
    const failedAfterMs = await untilFailed();
    expect(failedAfterMs).toBeGreaterThanOrEqual(fixtureLimitMs + 10_000);
    expect(failedAfterMs).toBeLessThanOrEqual(fixtureLimitMs + 10_500);
  });

  it("PROTOCOL-L3: an agent whose monitor is gone and whose registry nobody hears does not age", async () => {
    await beat(await open(), 1, "monitor-2");
    await fixture.sessions.expire("dep", 10, seen("monitor-2", ["registry-1"]));
    fixture.view = seen("monitor-1", []);
    expect(failures(await pass(10 * fixtureLimitMs))).toBe(0);
  });

  it("PROTOCOL-L5: a resume elsewhere is no beat: the age goes on", async () => {
    const session = await open();
    await beat(session, 1);
    await pass(20_000);
    const { instance, keyDigest } = fixtureFacts;
    fixture.view = seen("monitor-1", ["registry-1", "registry-2"], ["registry-1", "registry-2"]);
    await pass(250);
    const claim = { session, instance, keyDigest, generation: 2 };
    await fixture.sessions.resume("dep", "a", claim, { registry: "registry-2" });
    expect(await untilFailed()).toBe(9_750);
  });
});

describe("clocks", () => {
  it("PROTOCOL-L3: of replicas that are long gone are forgotten, those in use are kept", async () => {
    const session = await open();
    await beat(session, 1, "monitor-2");
    await fixture.sessions.expire("dep", 10, seen("monitor-2", ["registry-1"]));
    fixture.view = seen("monitor-1", ["registry-1"], ["registry-1"]);
    await pass(11 * fixtureLimitMs);
    fixture.view = seen("monitor-1", ["registry-3"], ["registry-3"]);
    await pass(11 * fixtureLimitMs);
    const fields = await fixture.redis.hkeys("rmx:{dep}:clocks");
    expect(fields.sort()).toEqual(["#1", "*|", "@monitor-1", "epoch", "registry-3|monitor-1"]);
  });
});

describe("an agent that is turned away", () => {
  const turnAway = (session: SessionRef, keyDigest = fixtureFacts.keyDigest) =>
    fixture.sessions.noteTurnedAway("dep", [{ agent: "a", session, keyDigest }]);

  it("PROTOCOL-L6 L3: does not age for an interval", async () => {
    const session = await open();
    await beat(session, 1);
    await pass(25_000);
    expect(await turnAway(session)).toEqual({ kind: "noted", count: 1 });
    expect(await untilFailed()).toBe(15_000);
  });

  it("PROTOCOL-L6 L3: not for more than 4 SL, however often it comes", async () => {
    const session = await open();
    await beat(session, 1);
    let passed = 0;
    while ((await fixture.sessions.load("dep", "a"))?.state === "OPEN") {
      await turnAway(session);
      await pass(1_000);
      passed += 1_000;
      if (passed > 10 * fixtureLimitMs) break;
    }
    expect(passed).toBe(5 * fixtureLimitMs);
  });

  it("PROTOCOL-L6: counts only with the session's own key", async () => {
    const session = await open();
    await beat(session, 1);
    expect(await turnAway(session, "11".repeat(32))).toEqual({ kind: "noted", count: 0 });
    expect(await untilFailed()).toBe(fixtureLimitMs);
  });
});
