// SPDX-License-Identifier: Apache-2.0
// Proves the monitor over real links and a real Redis: who is answered, when, and who is told.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { refToWire, requireRef } from "@remex/domain";
import { RunnerState } from "@remex/proto/agent/v1";
import {
  AgentHealth,
  type BeatLinkEvent,
  BeatLinkEventSchema,
  type MonitorEvent,
  type VerdictLinkEvent,
} from "@remex/proto/health/v1";
import { createMetrics, createSilentLogger, createSystemClock, type Metrics } from "@remex/runtime";
import { createFakeClock, type FakeClock } from "@remex/runtime/testing";
import {
  type SessionFixture,
  sessionFixtureFacts,
  startSessionFixture,
} from "@remex/store/testing";
import { createInProcessLinkPair } from "@remex/transport";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createHealthMonitor, type HealthMonitor } from "./health-monitor.ts";

let store: SessionFixture;
let clock: FakeClock;
let monitor: HealthMonitor;
let renewCalls: number;
let metrics: Metrics;

beforeAll(async () => {
  store = await startSessionFixture();
});
afterAll(() => store.stop());
beforeEach(async () => {
  await store.reset();
  await store.project("dep");
  store.nowMs = 1_000_000;
  clock = createFakeClock();
  metrics = createMetrics({ withProcess: false });
  renewCalls = 0;
  monitor = createHealthMonitor({
    replica: "monitor-1",
    sessions: {
      renew: (...args) => {
        renewCalls += 1;
        return store.sessions.renew(...args);
      },
      expire: store.sessions.expire,
      forget: store.sessions.forget,
    },
    listReplicas: async () => [{ replica: "registry-1" }],
    listDeployments: () => store.redis.smembers("rmx:global:deployments"),
    epoch: () => store.epoch,
    clock,
    log: createSilentLogger(),
    metrics,
  });
});

/** The far end of a link, with everything that was heard on it. */
function beatLink() {
  const pair = createInProcessLinkPair<BeatLinkEvent, MonitorEvent>("registry-1", "monitor-1");
  monitor.acceptBeatLink(pair.server);
  pair.client.send([
    create(BeatLinkEventSchema, { event: { case: "hello", value: { registry: "registry-1" } } }),
  ]);
  const heard: MonitorEvent[] = [];
  pair.client.onEvents((events) => heard.push(...events));
  return { link: pair.client, heard };
}

function verdictLink() {
  const pair = createInProcessLinkPair<VerdictLinkEvent, MonitorEvent>("scheduler-1", "monitor-1");
  monitor.acceptVerdictLink(pair.server);
  const heard: MonitorEvent[] = [];
  pair.client.onEvents((events) => heard.push(...events));
  return heard;
}

async function open(agent: string): Promise<string> {
  const reply = await store.sessions.open("dep", agent, sessionFixtureFacts);
  if (reply.kind !== "opened") throw new Error("not opened");
  return reply.session;
}

function beat(agent: string, session: string, sequence: number): BeatLinkEvent {
  const init: MessageInitShape<typeof BeatLinkEventSchema> = {
    event: {
      case: "beat",
      value: {
        deployment: "dep",
        agent,
        session: refToWire(requireRef(session)),
        generation: 1n,
        beat: {
          sequence: BigInt(sequence),
          loopTurns: BigInt(sequence),
          runnerState: RunnerState.READY,
        },
      },
    },
  };
  return create(BeatLinkEventSchema, init);
}

const until = async (done: () => boolean): Promise<void> => {
  const real = createSystemClock();
  const deadline = real.nowMs() + 5_000;
  while (!done()) {
    if (real.nowMs() > deadline) throw new Error("it did not happen within 5 s");
    await new Promise((resolve) => setImmediate(resolve));
  }
};

/** Lets time pass for the store and the monitor, scan by scan. */
async function pass(ms: number): Promise<void> {
  await monitor.scanOnce();
  for (let left = ms; left > 0; left -= 250) {
    store.nowMs += 250;
    await clock.advance(250);
    await monitor.scanOnce();
  }
}

const of = <Case extends string>(events: MonitorEvent[], kind: Case) =>
  events.filter(({ event }) => event.case === kind).map(({ event }) => event.value);

describe("beats", () => {
  it("PROTOCOL-L1: are acknowledged after they are in the store, those of one turn in one call", async () => {
    const sessions = await Promise.all(["a", "b", "c"].map(open));
    const { link, heard } = beatLink();
    link.send(["a", "b", "c"].map((agent, index) => beat(agent, sessions[index] ?? "", 7)));
    await until(() => of(heard, "acknowledged").length === 3);
    expect(renewCalls).toBe(1);
    expect(of(heard, "acknowledged")).toMatchObject([
      { agent: "a", healthy: true, ack: { sequence: 7n, epoch: BigInt(store.epoch) } },
      { agent: "b" },
      { agent: "c" },
    ]);
    expect((await store.sessions.load("dep", "a"))?.beatSequence).toBe(7);
  });

  it("PROTOCOL-L1: of an ended or ending session are refused, not acknowledged", async () => {
    const ended = await open("a");
    await store.sessions.leave("dep", "a", requireRef(ended), true);
    const ending = await open("b");
    await store.sessions.beginEnding("dep", "token_revoked", [{ agent: "b" }]);
    const { link, heard } = beatLink();
    link.send([beat("a", ended, 1), beat("b", ending, 1)]);
    await until(() => of(heard, "refused").length === 2);
    expect(of(heard, "refused")).toMatchObject([
      { agent: "a", ending: false, reason: "goodbye" },
      { agent: "b", ending: true, reason: "token_revoked" },
    ]);
    expect(of(heard, "acknowledged")).toEqual([]);
  });

  it("PROTOCOL-L1: without the deployment's configuration nobody is answered", async () => {
    const session = await open("a");
    await store.redis.del("rmx:{dep}:config");
    const { link, heard } = beatLink();
    link.send([beat("a", session, 1)]);
    await until(() => renewCalls === 1);
    await store.project("dep");
    link.send([beat("a", session, 2)]);
    await until(() => of(heard, "acknowledged").length === 1);
    expect(of(heard, "acknowledged")).toMatchObject([{ ack: { sequence: 2n } }]);
  });

  it("PROTOCOL-L1: that renew nothing are counted by their reason", async () => {
    const old = await open("a");
    await store.sessions.leave("dep", "a", requireRef(old), true);
    const session = await open("a");
    const ending = await open("b");
    await store.sessions.beginEnding("dep", "deleted", [{ agent: "b" }]);
    const { link, heard } = beatLink();
    link.send([
      beat("a", session, 5),
      beat("a", session, 4),
      beat("a", old, 9),
      beat("b", ending, 1),
      beat("nobody", session, 1),
    ]);
    await until(() => of(heard, "acknowledged").length + of(heard, "refused").length === 5);
    const text = await metrics.text();
    for (const reason of ["out_of_order", "session_ended", "session_ending", "session_unknown"]) {
      expect(text).toContain(`monitor_idle_beats_total{reason="${reason}"} 1`);
    }
  });

  it("that name no session are dropped and counted", async () => {
    const { link } = beatLink();
    link.send([beat("a", "0.0", 1)]);
    await until(() => monitor.counts().malformedBeats === 1);
    expect(renewCalls).toBe(0);
  });
});

describe("the scan", () => {
  it("R18: three missed beats fail an agent, and PROTOCOL-L2 every link is told", async () => {
    const session = await open("a");
    const registry = beatLink();
    const scheduler = verdictLink();
    monitor.start();
    await until(() => registry.heard.length > 0);
    await pass(12_500);
    await until(() => of(scheduler, "verdict").length === 1);
    await pass(17_500);
    await until(
      () => of(scheduler, "verdict").length === 2 && of(registry.heard, "verdict").length === 2,
    );
    for (const heard of [scheduler, registry.heard]) {
      expect(of(heard, "verdict")).toMatchObject([
        { agent: "a", health: AgentHealth.DEGRADED, reason: "beats_missed" },
        { agent: "a", health: AgentHealth.FAILED, reason: "lease_expired" },
      ]);
    }
    expect((await store.sessions.load("dep", "a"))?.state).toBe("ENDED");
    expect(await store.sessions.readGiveups("dep", 10)).toMatchObject([
      { agent: "a", session: requireRef(session) },
    ]);
    monitor.stop();
    expect(clock.pendingTimers()).toBe(0);
  });

  it("says that the store is away, and that it is back", async () => {
    expect(monitor.problems()).toHaveLength(1);
    await monitor.scanOnce();
    expect(monitor.problems()).toEqual([]);
  });
});

describe("a clock of Redis that jumps", () => {
  it("PROTOCOL-T2: fails nobody, ahead or back, and each jump is counted", async () => {
    const session = await open("jumpy");
    const { link, heard } = beatLink();
    const verdicts = verdictLink();
    link.send([beat("jumpy", session, 1)]);
    await until(() => of(heard, "acknowledged").length === 1);
    await pass(1_000);
    for (const jumpMs of [10 * 60_000, -20 * 60_000]) {
      store.nowMs += jumpMs;
      await pass(2_000);
    }
    expect(of(verdicts, "verdict")).not.toContainEqual(
      expect.objectContaining({ health: AgentHealth.FAILED }),
    );
    expect(await store.sessions.load("dep", "jumpy")).toMatchObject({ state: "OPEN" });
    expect(await metrics.text()).toContain("monitor_store_clock_jumps_total 2");
    link.send([beat("jumpy", session, 2)]);
    await until(() => of(heard, "acknowledged").length === 2);
  });
});
