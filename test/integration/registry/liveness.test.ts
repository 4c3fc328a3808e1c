// SPDX-License-Identifier: Apache-2.0
// Liveness at the registry's door: who is turned away, who is SUSPECT, and what is counted (PROTOCOL 5).
import { create } from "@bufbuild/protobuf";
import { AgentEventSchema, SessionRequestSchema } from "@remex/proto/agent/v1";
import type { RegistryDeps } from "@remex/registry";
import { createMetrics } from "@remex/runtime";
import { afterEach, describe, expect, it } from "vitest";
import { waitFor } from "../../kit/index.ts";
import { createFakeAgent, type FakeAgent, goodHello } from "./fake-agent.ts";
import { type Fixture, startFixture } from "./fixture.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function start(...[change]: Parameters<typeof startFixture>): Promise<Fixture> {
  const fixture = await startFixture(change);
  closing.push(fixture.stop);
  return fixture;
}

function dial(fixture: Fixture): FakeAgent {
  const agent = createFakeAgent(fixture.target);
  closing.push(() => agent.close());
  return agent;
}

/** Lets the store's time pass under scans that follow each other closely. */
async function pass(fixture: Fixture, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 2_500) {
    fixture.nowMs = (fixture.nowMs ?? 0) + Math.min(left, 2_500);
    await fixture.monitor.scanOnce();
  }
}

describe("admission", () => {
  it("PROTOCOL-L6 L3: an agent whose resume is turned away is told when to come back, and does not age", async () => {
    const fixture = await start({ connectsPerSecond: 1 });
    const agent = dial(fixture);
    const welcome = await agent.open("good", goodHello("a")).welcome();
    let generation = 1;
    const refusal = await waitFor(
      async () => {
        generation += 1;
        const stream = agent.resume(welcome, goodHello("a"), generation);
        const ended = await Promise.race([stream.ended, stream.welcome().then(() => undefined)]);
        return ended?.code === "admission_full" ? ended : undefined;
      },
      { what: "a refusal" },
    );
    expect(refusal).toMatchObject({ connectCode: "resource_exhausted", retryable: true });
    expect(refusal.failure.retryAfterMs).toBeGreaterThan(0);
    const held = () => fixture.store.redis.hget("rmx:{dep}:session:a", "turnedMs");
    await waitFor(async () => Number(await held()) > 0, { what: "a note of it in the store" });
  });
});

describe("the brake", () => {
  it("PROTOCOL-L4 I6: a SUSPECT gets no offers, keeps its session, and a beat returns it", async () => {
    const fixture = await start();
    fixture.nowMs = 5_000_000;
    await fixture.monitor.scanOnce();
    const agents = ["a", "b", "c"].map((name) => {
      const stream = dial(fixture).open("good", goodHello(name));
      return { name, stream };
    });
    for (const { name, stream } of agents) {
      await stream.welcome();
      stream.beat(1);
      await stream.hear("beatAck");
      await fixture.scheduler.hear(
        "admission",
        (said) => said.agent === name && said.offersAllowed,
      );
    }
    await pass(fixture, 30_000);
    for (const { name } of agents) {
      const forbids = (said: { agent: string; reason: string }) =>
        said.agent === name && said.reason === "brake";
      await fixture.scheduler.hear("admission", forbids);
      expect(await fixture.sessions.load("dep", name)).toMatchObject({
        state: "OPEN",
        health: "SUSPECT",
      });
    }
    const [first] = agents;
    const heard = fixture.scheduler.heard.length;
    first?.stream.beat(2);
    await waitFor(
      () =>
        fixture.scheduler.heard
          .slice(heard)
          .some(({ case: kind, value }) => kind === "admission" && value.offersAllowed),
      { what: "offers to the agent that beat" },
    );
  });
});

describe("a registry whose beats are not answered", () => {
  /** Its store is away, so that no beat is answered; H is 1 s. */
  async function starve(change: Partial<RegistryDeps>) {
    const fixture = await start(change);
    await fixture.project({
      ...{ revision: 2, intervalVersion: 2, heartbeatMs: 1_000, leaseMs: 2_000, limitMs: 3_000 },
    });
    const stream = dial(fixture).open("good", goodHello("a"));
    await stream.welcome();
    stream.beat(1);
    await stream.hear("beatAck");
    expect(fixture.registry.serves()).toBe(true);
    await fixture.redis.kill();
    stream.beat(2);
    await waitFor(() => !fixture.registry.serves(), { what: "a registry that says so to others" });
    return { fixture, stream };
  }

  it("PROTOCOL-L5: is not ready and sends its agents away while another is answered", async () => {
    const registries = ["registry-1", "registry-2"].map((replica) => ({
      ...{ role: "registry", replica, address: replica, softwareVersion: "0", ageMs: 0 },
    }));
    const monitor = { ...registries[0], role: "health-monitor", replica: "health-monitor-1" };
    const { fixture, stream } = await starve({
      listReplicas: async (role) =>
        role === "registry" ? registries : [monitor as (typeof registries)[number]],
      peerServes: async (address) => address === "registry-2",
    });
    expect(await stream.hear("goAway")).toMatchObject({ reason: "monitors_unreachable" });
    expect(fixture.readiness.report().ready).toBe(false);
  });

  it("PROTOCOL-L5: keeps its streams and stays ready when no other is answered", async () => {
    const { fixture, stream } = await starve({});
    await fixture.redis.start();
    await waitFor(() => fixture.store.redis.status === "ready", { what: "redis" });
    stream.beat(3);
    await stream.hear("beatAck", (ack) => ack.sequence === 3n);
    expect(stream.heard.map(({ event }) => event.case)).not.toContain("goAway");
    expect(fixture.readiness.report().ready).toBe(true);
    await waitFor(() => fixture.registry.serves(), { what: "a registry that serves again" });
  });
});

describe("what breaks the order", () => {
  it("PROTOCOL-L5: frames of another session or stream, and refused hellos, are counted and change nothing", async () => {
    const metrics = createMetrics({ withProcess: false });
    const fixture = await start({ metrics });
    const stream = dial(fixture).open("good", goodHello("a"));
    const welcome = await stream.welcome();
    const { session, generation } = welcome;
    if (session === undefined) throw new Error("no session");
    const beat = create(AgentEventSchema, { event: { case: "beat", value: { sequence: 9n } } });
    const frames = [
      { session: { ...session, number: session.number + 7n }, generation },
      { session, generation: generation - 1n },
      { session, generation: generation + 5n },
    ];
    for (const frame of frames) {
      stream.call.write(create(SessionRequestSchema, { ...frame, events: [beat] }));
    }
    const past = dial(fixture).resume(welcome, goodHello("a"), 1);
    expect(await past.ended).toMatchObject({ code: "session_superseded" });
    const other = { ...welcome, session: { ...session, number: 999n } };
    const unknown = dial(fixture).resume(other as typeof welcome, goodHello("a"), 2);
    expect(await unknown.ended).toMatchObject({ code: "session_key_refused" });
    stream.beat(1);
    await stream.hear("beatAck");
    const text = await metrics.text();
    for (const names of ["session", "older_stream", "newer_stream"]) {
      expect(text).toContain(`registry_foreign_frames_total{names="${names}"} 1`);
    }
    for (const code of ["session_superseded", "session_key_refused"]) {
      expect(text).toContain(`registry_hellos_refused_total{code="${code}"} 1`);
    }
  });
});
