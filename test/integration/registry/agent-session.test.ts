// SPDX-License-Identifier: Apache-2.0
// Agents at a real door: they register, beat, resume, are refused and sent away, over real sockets.
import { create } from "@bufbuild/protobuf";
import type { AgentControl } from "@remex/domain";
import {
  AgentEventSchema,
  Availability,
  RunnerState,
  SessionRequestSchema,
} from "@remex/proto/agent/v1";
import { AgentKind, OnCut } from "@remex/proto/common/v1";
import type { ControlRows } from "@remex/store";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../kit/index.ts";
import { createFakeAgent, type FakeAgent, goodHello } from "./fake-agent.ts";
import { type Fixture, startFixture } from "./fixture.ts";

let fixture: Fixture;
let agent: FakeAgent;
let count = 0;
let name: string;

beforeAll(async () => {
  fixture = await startFixture();
});
afterAll(() => fixture.stop());
beforeEach(() => {
  count += 1;
  name = `agent-${count}`;
  agent = createFakeAgent(fixture.target);
});
afterEach(() => agent.close());

const record = async () => {
  const found = await fixture.sessions.load("dep", name);
  if (found === undefined) throw new Error("no record");
  return found;
};

describe("registering", () => {
  it("R2 R8: a good hello gets a session, its settings and a key, and the scheduler gets the agent", async () => {
    const stream = agent.open("good", goodHello(name));
    const welcome = await stream.welcome();
    expect(welcome).toMatchObject({
      deployment: "dep",
      generation: 1n,
      protocol: 1,
      resumed: false,
      registry: "registry-1",
      airflowApi: false,
      settings: {
        intervalVersion: 1n,
        heartbeatInterval: { seconds: 10n },
        maxFrameBytes: 1048576,
      },
    });
    expect(welcome.sessionKey?.key).toHaveLength(32);
    const attached = await fixture.scheduler.hear("attached", (value) => value.agent === name);
    expect(attached).toMatchObject({
      offersAllowed: false,
      kind: AgentKind.WORKER,
      capabilities: { queues: ["default"], slots: 2, group: "default" },
    });
    expect(await record()).toMatchObject({
      state: "OPEN",
      registry: "registry-1",
      token: "tok00001",
    });
  });

  it("SEC-T11: the store keeps the key's digest alone", async () => {
    const welcome = await agent.open("good", goodHello(name)).welcome();
    const kept = JSON.stringify(await fixture.store.redis.hgetall(`rmx:{dep}:session:${name}`));
    for (const encoding of ["hex", "base64", "latin1"] as const) {
      expect(kept).not.toContain(Buffer.from(welcome.sessionKey?.key ?? []).toString(encoding));
    }
  });

  it("PROTOCOL-L1: a beat is acknowledged after it is in the store, and then offers are allowed", async () => {
    const stream = agent.open("good", goodHello(name));
    await stream.welcome();
    stream.beat(1);
    const ack = await stream.hear("beatAck");
    expect(ack).toMatchObject({ sequence: 1n, intervalVersion: 1n });
    expect(await record()).toMatchObject({ beatSequence: 1, health: "HEALTHY" });
    await fixture.scheduler.hear(
      "admission",
      (value) => value.agent === name && value.offersAllowed,
    );
  });

  it("PROTOCOL-T6: a living name is refused to another instance, with when it will be free", async () => {
    await agent.open("good", goodHello(name)).welcome();
    const second = agent.open("good", goodHello(name, { instance: new Uint8Array(16).fill(2) }));
    const error = await second.ended;
    expect(error).toMatchObject({ code: "agent_name_alive", connectCode: "already_exists" });
    expect(error?.retryAfterMs).toBeGreaterThan(25_000);
    expect((await record()).conflictAtMs).toBeGreaterThan(0);
  });

  it("SEC-E3: queues are narrowed to the token's scope, in later beats too", async () => {
    fixture.tokens.set("gpu", { deployment: "dep", token: "tok00009", queues: ["gpu"] });
    const both = { queues: ["default", "gpu"], slots: 1 };
    const stream = agent.open("gpu", goodHello(name, { capabilities: both }));
    await stream.welcome();
    expect((await record()).queues).toEqual(["gpu"]);
    stream.beat(1, { capabilities: { ...both, slots: 7 } });
    await stream.hear("beatAck");
    expect(await record()).toMatchObject({ queues: ["gpu"], slots: 7 });
  });
});

describe("frames", () => {
  it("PROTOCOL-L5: of another session or generation change nothing", async () => {
    const stream = agent.open("good", goodHello(name));
    const welcome = await stream.welcome();
    const { session } = welcome;
    const beat = create(AgentEventSchema, {
      event: { case: "beat", value: { sequence: 50n, runnerState: RunnerState.READY } },
    });
    const foreign = { epoch: session?.epoch ?? 0n, number: (session?.number ?? 0n) + 1n };
    stream.call.write(
      create(SessionRequestSchema, { session: foreign, generation: 1n, events: [beat] }),
    );
    stream.call.write(
      create(SessionRequestSchema, { ...(session && { session }), generation: 2n, events: [beat] }),
    );
    stream.beat(1);
    expect(await stream.hear("beatAck")).toMatchObject({ sequence: 1n });
    expect((await record()).beatSequence).toBe(1);
  });

  it("work goes to the scheduler in order, and its answers to the agent", async () => {
    const stream = agent.open("good", goodHello(name));
    const { session } = await stream.welcome();
    const attempt = { epoch: 1n, number: 2n };
    stream.say([
      { case: "accept", value: { task: "t1", attempt, sequence: 1n } },
      { case: "decline", value: { task: "t2", attempt } },
    ]);
    const said = await fixture.scheduler.hear("said", (value) => value.agent === name);
    expect(said.events.map(({ event }) => event.case)).toEqual(["accept", "decline"]);
    fixture.scheduler.tell(name, session, [
      { case: "confirm", value: { task: "t1", attempt } as never },
    ]);
    expect(await stream.hear("confirm")).toMatchObject({ task: "t1" });
  });

  it("PROTOCOL-C4: a cancel is repeated on acknowledgements until it is reported", async () => {
    const stream = agent.open("good", goodHello(name));
    const { session } = await stream.welcome();
    const attempt = { epoch: 1n, number: 2n };
    const cancels = () => stream.heard.filter(({ event }) => event.case === "cancel").length;
    fixture.scheduler.tell(name, session, [
      { case: "cancel", value: { task: "t1", attempt } as never },
    ]);
    await waitFor(() => cancels() === 1, { what: "the cancel" });
    stream.beat(1);
    await waitFor(() => cancels() === 2, { what: "its repetition" });
    stream.say([{ case: "report", value: { task: "t1", attempt } }]);
    stream.beat(2);
    await stream.hear("beatAck", (ack) => ack.sequence === 2n);
    expect(cancels()).toBe(2);
  });

  it("PROTOCOL-S6: a digest that stands and was never told is asked for once", async () => {
    const stream = agent.open("good", goodHello(name));
    await stream.welcome();
    const inventoryDigest = new Uint8Array(32).fill(9);
    for (const sequence of [1, 2, 3]) {
      stream.beat(sequence, { inventoryDigest });
      await stream.hear("beatAck", (ack) => ack.sequence === BigInt(sequence));
    }
    const requests = stream.heard.filter(({ event }) => event.case === "inventoryRequest");
    expect(requests).toHaveLength(1);
    stream.say([{ case: "inventory", value: { sequence: 3n, digest: inventoryDigest } }]);
    stream.beat(4, { inventoryDigest });
    await stream.hear("beatAck", (ack) => ack.sequence === 4n);
    expect(stream.heard.filter(({ event }) => event.case === "inventoryRequest")).toHaveLength(1);
  });

  it("PROTOCOL-C5: a trigger's event goes to the scheduler; one that is too large is refused at the door", async () => {
    const stream = agent.open("good", goodHello(name));
    await stream.welcome();
    const payload = new Uint8Array(262_145);
    stream.say([{ case: "triggerEvent", value: { task: "t1", number: 1n, payload } }]);
    const answer = await stream.hear("triggerEventAnswer");
    expect(answer).toMatchObject({ task: "t1", refusal: { code: "trigger_event_too_large" } });
  });
});

describe("resuming", () => {
  it("PROTOCOL-L5: a resume keeps the session and closes the older stream as superseded", async () => {
    const first = agent.open("good", goodHello(name));
    const welcome = await first.welcome();
    const second = agent.resume(welcome, goodHello(name), 2);
    expect(await second.welcome()).toMatchObject({
      resumed: true,
      session: welcome.session,
      generation: 2n,
      sessionKey: { key: welcome.sessionKey?.key },
    });
    expect(await first.ended).toMatchObject({ code: "session_superseded" });
    second.beat(1);
    await second.hear("beatAck");
    expect((await record()).generation).toBe(2);
  });

  it("PROTOCOL-I13: an older generation is refused, and so are a wrong key and another instance", async () => {
    const welcome = await agent.open("good", goodHello(name)).welcome();
    await agent.resume(welcome, goodHello(name), 5).welcome();
    expect(await agent.resume(welcome, goodHello(name), 5).ended).toMatchObject({
      code: "session_superseded",
    });
    const wrong = { ...welcome, sessionKey: { key: new Uint8Array(32) } } as typeof welcome;
    expect(await agent.resume(wrong, goodHello(name), 6).ended).toMatchObject({
      code: "session_key_refused",
    });
    const other = goodHello(name, { instance: new Uint8Array(16).fill(9) });
    expect(await agent.resume(welcome, other, 6).ended).toMatchObject({
      code: "session_key_refused",
    });
  });

  it("PROTOCOL-L5: a stream that goes away is noted, and offers stop", async () => {
    const stream = agent.open("good", goodHello(name));
    await stream.welcome();
    stream.beat(1);
    await stream.hear("beatAck");
    stream.call.cancel();
    await waitFor(async () => (await record()).health === "DEGRADED", { what: "degraded" });
    expect(await record()).toMatchObject({
      healthReason: "stream_down",
      registry: "",
      state: "OPEN",
    });
    await fixture.scheduler.hear("detached", (value) => value.agent === name);
  });
});

describe("leaving", () => {
  it("an empty goodbye ends the session at once, and the stream with it", async () => {
    const stream = agent.open("good", goodHello(name));
    await stream.welcome();
    stream.say([{ case: "goodbye", value: { empty: true, reason: "SIGTERM" } }]);
    expect(await stream.hear("sessionEnded")).toMatchObject({ reason: "goodbye" });
    expect(await stream.ended).toBeUndefined();
    expect(await record()).toMatchObject({ state: "ENDED", health: "LEFT" });
  });

  it("PROTOCOL-O2: an agent that drains gets no offers and stays", async () => {
    const stream = agent.open("good", goodHello(name));
    await stream.welcome();
    stream.beat(1);
    await stream.hear("beatAck");
    stream.say([{ case: "draining", value: { reason: "SIGTERM" } }]);
    await fixture.scheduler.hear(
      "admission",
      (value) => value.agent === name && value.reason === "draining",
    );
    stream.beat(2);
    await stream.hear("beatAck", (ack) => ack.sequence === 2n);
  });

  it("PROTOCOL-L7 SEC-T7: a revoked token's session is ENDING at once, and its beats renew nothing", async () => {
    fixture.tokens.set("doomed", { deployment: "dep", token: "tok00042" });
    const stream = agent.open("doomed", goodHello(name));
    const welcome = await stream.welcome();
    stream.beat(1);
    await stream.hear("beatAck");
    fixture.revoke("tok00042", "revoked");
    expect(await stream.hear("sessionEnding")).toMatchObject({ reason: "token_revoked" });
    await waitFor(async () => (await record()).state === "ENDING", { what: "ENDING" });
    stream.beat(2);
    await fixture.scheduler.hear(
      "admission",
      (value) => value.agent === name && value.reason === "session_ending",
    );
    expect(await agent.resume(welcome, goodHello(name), 2).ended).toMatchObject({
      code: "token_revoked",
    });
    stream.say([{ case: "goodbye", value: { empty: true } }]);
    await stream.hear("sessionEnded");
    expect(stream.heard.filter(({ event }) => event.case === "beatAck")).toHaveLength(1);
    expect(await record()).toMatchObject({ state: "ENDED", reason: "token_revoked" });
  });

  it("SEC-T8: an agent that shows a newer token survives the end of the old one", async () => {
    fixture.tokens.set("old", { deployment: "dep", token: "tok00050" });
    fixture.tokens.set("new", { deployment: "dep", token: "tok00051" });
    const stream = agent.open("old", goodHello(name));
    await stream.welcome();
    stream.say([{ case: "reauthenticate", value: { token: "new" } }]);
    await waitFor(async () => (await record()).token === "tok00051", { what: "the newer token" });
    fixture.revoke("tok00050", "revoked");
    stream.beat(1);
    await stream.hear("beatAck");
    expect((await record()).state).toBe("OPEN");
  });
});

describe("failing", () => {
  it("R18: three missed beats end the session, and the agent is told", async () => {
    fixture.nowMs = 5_000_000;
    await fixture.monitor.scanOnce();
    /** Time counts only under scans that follow each other closely (L3). */
    const pass = async (ms: number) => {
      for (let left = ms; left > 0; left -= 2_500) {
        fixture.nowMs = (fixture.nowMs ?? 0) + Math.min(left, 2_500);
        await fixture.monitor.scanOnce();
      }
    };
    const stream = agent.open("good", goodHello(name));
    await stream.welcome();
    stream.beat(1);
    await stream.hear("beatAck");
    await pass(29_999);
    expect(await record()).toMatchObject({ state: "OPEN", health: "DEGRADED" });
    await pass(1);
    expect(await stream.hear("sessionEnded")).toMatchObject({ reason: "lease_expired" });
    expect(await stream.ended).toBeUndefined();
    expect(await record()).toMatchObject({ state: "ENDED", health: "FAILED" });
    stream.call.destroy();
    const again = await agent.open("good", goodHello(name)).welcome();
    expect(again.resumed).toBe(false);
    fixture.nowMs = undefined;
  });

  it("a change of the settings reaches living agents", async () => {
    const stream = agent.open("good", goodHello(name));
    await stream.welcome();
    await fixture.project({ revision: 2, intervalVersion: 2, heartbeatMs: 9_000 });
    expect(await stream.hear("settings")).toMatchObject({ intervalVersion: 2n });
  });

  /** What operators decide, as their registry puts it into effect. */
  const decide = async (rows: Partial<ControlRows>) => {
    const marker = await fixture.sessions.loadControlsMarker("dep");
    const revision = (marker.revision ?? 0) + 1;
    const none = { agents: [], groups: [], tombstones: [] };
    await fixture.sessions.projectControls("dep", { ...none, ...rows, revision }, marker);
  };
  let revision = 0;
  const decideAgent = (control: AgentControl) =>
    decide({ agents: [{ agent: name, revision: ++revision, control }] });

  it("PROTOCOL-H1: what cut-off work does is told when its group or the deployment says otherwise", async () => {
    const hello = goodHello(name);
    const capabilities = { ...hello.capabilities, group: name };
    const stream = agent.open("good", { ...hello, capabilities });
    expect((await stream.welcome()).settings?.onCut).toBe(OnCut.CONTINUE);
    const group = (onCut: "ABORT" | undefined) =>
      decide({
        groups: [
          {
            ...{ group: name, revision: ++revision },
            control: { cordoned: false, note: "", ...(onCut === undefined ? {} : { onCut }) },
          },
        ],
      });
    const told = (onCut: OnCut, nth: number) =>
      waitFor(
        () =>
          stream.heard.flatMap(({ event }) => (event.case === "settings" ? [event.value] : []))[nth]
            ?.onCut === onCut,
        { what: `settings ${nth}` },
      );
    await group("ABORT");
    await told(OnCut.ABORT, 0);
    const again = agent.open("good", { ...goodHello(name), capabilities });
    expect((await again.welcome()).settings?.onCut).toBe(OnCut.ABORT);
    again.call.end();
  });

  it("PROTOCOL-O1 PROTOCOL-O2: an operator's word reaches the agent, with its deadline, and the scheduler", async () => {
    const stream = agent.open("good", goodHello(name));
    await stream.welcome();
    stream.beat(1);
    await stream.hear("beatAck");
    await decideAgent({ kind: "cordoned", note: "disk" });
    expect(
      await stream.hear("control", ({ availability }) => availability === Availability.CORDONED),
    ).toMatchObject({ note: "disk" });
    await fixture.scheduler.hear(
      "admission",
      (value) => value.agent === name && value.reason === "cordoned",
    );
    const deadlineAtMs = Date.now() + 60_000;
    await decideAgent({ kind: "draining", note: "", deadlineAtMs });
    const drain = await stream.hear(
      "control",
      ({ availability }) => availability === Availability.DRAINING,
    );
    expect(Number(drain.drainDeadline?.seconds)).toBeGreaterThan(30);
    await decideAgent({ kind: "schedulable" });
    await stream.hear("control", ({ availability }) => availability === Availability.SCHEDULABLE);
    await fixture.scheduler.hear(
      "admission",
      (value) => value.agent === name && value.offersAllowed,
    );
  });

  it("PROTOCOL-O2: a draining agent is told its deadline in a later session too", async () => {
    await decideAgent({ kind: "draining", note: "", deadlineAtMs: Date.now() + 60_000 });
    const stream = agent.open("good", goodHello(name));
    expect((await stream.welcome()).availability).toBe(Availability.DRAINING);
    expect((await stream.hear("control")).drainDeadline).toBeDefined();
  });

  it("PROTOCOL-O3 PROTOCOL-L8: a deleted agent's goodbye ends its session, and it is told what to do", async () => {
    // Of its own: the others of this file are one process, which would be refused for good.
    const hello = goodHello(name, { instance: new Uint8Array(16).fill(9) });
    const stream = agent.open("good", hello);
    await stream.welcome();
    const { instance } = await record();
    await decide({
      agents: [
        {
          ...{ agent: name, revision: ++revision },
          control: { kind: "deleted", note: "", nameFreeAtMs: Date.now() + 86_400_000 },
        },
      ],
      tombstones: [{ agent: name, instance }],
    });
    expect(await stream.hear("sessionEnding")).toMatchObject({ reason: "deleted" });
    stream.say([{ case: "goodbye", value: { empty: true, reason: "deleted" } }]);
    expect(await stream.hear("sessionEnded")).toMatchObject({
      ...{ reason: "deleted", error: { code: "agent_deleted", retryable: false } },
    });
    expect(await record()).toMatchObject({ state: "ENDED", reason: "deleted" });
    const again = await agent.open("good", hello).ended;
    expect(again).toMatchObject({ code: "agent_deleted" });
    expect(again?.failure.retryAfterMs).toBe(300_000);
    expect(again?.message).toContain(`remex agents restore ${name}`);
    const fresh = await agent.open("good", goodHello(name)).ended;
    expect(fresh).toMatchObject({ code: "agent_deleted" });
  });

  it("PROTOCOL-S6: a scheduler that takes over gets the agent with an inventory as of now", async () => {
    const stream = agent.open("good", goodHello(name));
    await stream.welcome();
    await fixture.scheduler.hear("attached", (value) => value.agent === name);
    const before = fixture.scheduler.heard.length;
    fixture.scheduler.link.close("restart");
    expect(await stream.hear("inventoryRequest")).toMatchObject({ reason: "scheduler_changed" });
    const attempt = { epoch: 1n, number: 1n };
    stream.say([{ case: "progress", value: { task: "t1", attempt } }]);
    stream.say([{ case: "inventory", value: { sequence: 3n } }]);
    const after = () =>
      fixture.scheduler.heard
        .slice(before)
        .filter((event) => (event.value as { agent?: string } | undefined)?.agent === name);
    await waitFor(() => after().length >= 2, { what: "the agent at the new scheduler" });
    expect(after().map((event) => event.case)).toEqual(["attached", "said"]);
    expect(after()[0]?.value).toMatchObject({ inventory: { sequence: 3n } });
  });
});

describe("a store that is away", () => {
  it("PROTOCOL-L1 D4: nothing is acknowledged without Redis, hellos are told to come back, and all of it recovers", async () => {
    const stream = agent.open("good", goodHello(name));
    await stream.welcome();
    stream.beat(1);
    await stream.hear("beatAck");
    await fixture.redis.kill();
    stream.beat(2);
    await waitFor(
      async () => {
        await fixture.monitor.scanOnce();
        return fixture.monitor.problems().length > 0;
      },
      { what: "a monitor that says so" },
    );
    const late = createFakeAgent(fixture.target);
    expect(await late.open("good", goodHello(`${name}-b`)).ended).toMatchObject({
      connectCode: "unavailable",
      retryable: true,
    });
    late.close();
    expect(stream.heard.filter(({ event }) => event.case === "beatAck")).toHaveLength(1);
    await fixture.redis.start();
    await waitFor(() => fixture.store.redis.status === "ready", { what: "redis" });
    stream.beat(3);
    await stream.hear("beatAck", (ack) => ack.sequence === 3n);
    await fixture.monitor.scanOnce();
    expect(fixture.monitor.problems()).toEqual([]);
  });
});
