// SPDX-License-Identifier: Apache-2.0
// A running control plane, and agents that say what they should not: answered, counted, and nothing is harmed.
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import {
  AgentEventSchema,
  AttemptState,
  InventoryVerdict,
  type Offer,
  ReportVerdict,
  SessionRequestSchema,
} from "@remex/proto/agent/v1";
import { OutcomeKind } from "@remex/proto/common/v1";
import { AuditService } from "@remex/proto/gateway/v1";
import { AttemptStage, TaskState } from "@remex/proto/scheduler/v1";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type ControlPlane, startControlPlane, waitFor } from "../kit/index.ts";
import { operatorOf } from "../kit/operator.ts";
import {
  createFakeAgent,
  type FakeAgent,
  type FakeStream,
  goodHello,
} from "./registry/fake-agent.ts";

const deployment = "bad-agents";
let plane: ControlPlane;
let operator: ReturnType<typeof operatorOf>;
let token: string;
const dialled: FakeAgent[] = [];
let instances = 0;

beforeAll(async () => {
  plane = await startControlPlane();
  operator = operatorOf(plane, deployment);
  await operator.createDeployment();
  token = await operator.createToken("bad");
});
afterEach(() => {
  for (const agent of dialled.splice(0)) agent.close();
});
afterAll(() => plane?.stop());

const helloOf = (name: string, queue: string) =>
  goodHello(name, {
    instance: new Uint8Array(16).fill(++instances),
    capabilities: { queues: [queue], slots: 2, runtimes: ["noop"] },
  });

/** An agent with a session and a lease. */
async function join(
  name: string,
  queue = "default",
): Promise<{ agent: FakeAgent; stream: FakeStream }> {
  const agent = createFakeAgent(plane.agentsTarget);
  dialled.push(agent);
  const stream = agent.open(token, helloOf(name, queue));
  await stream.welcome();
  stream.beat(1);
  await stream.hear("beatAck");
  return { agent, stream };
}

/** A task that an agent of this name holds, confirmed, and another agent that serves nothing. */
async function heldTask(holderName: string, forgerName: string) {
  await operator.queues.createQueue({ deployment, queue: "idle" }).catch(() => undefined);
  const { stream: holder } = await join(holderName);
  const task = await operator.submit({ work: { case: "noop", value: {} } });
  const offer = (await holder.hear("offer", (value) => value.task === task)) as Offer;
  holder.say([{ case: "accept", value: { ...nameOf(offer), sequence: 2n } }]);
  await holder.hear("confirm");
  const { stream: forger } = await join(forgerName, "idle");
  return { holder, forger, task, offer };
}

const nameOf = ({ task, attempt }: Offer) => ({
  task,
  ...(attempt === undefined ? {} : { attempt }),
});
const reportOf = (offer: Offer, digest: string, droppedCalls = 0) => ({
  case: "report" as const,
  value: {
    ...nameOf(offer),
    outcome: { kind: OutcomeKind.SUCCEEDED, runTime: durationFromMs(4_500) },
    digest: Buffer.from(digest.padEnd(32, ".")),
    droppedCalls,
  },
});
const metricsText = async () => (await fetch(`${plane.processes[0]?.metricsUrl}/metrics`)).text();
/** Value of one series; 0 while it is not there. */
const metric = async (series: string) => {
  const line = (await metricsText()).split("\n").find((each) => each.includes(`${series} `));
  return Number(line?.split(" ").at(-1) ?? 0);
};

describe("a forged attempt", () => {
  test("SEC-E1 PROTOCOL-C2 I7: what an agent says about the attempt of another is refused, counted, and changes nothing", async () => {
    const refusedBefore = await metric('scheduler_refused_reports_total{verdict="STALE"}');
    const { holder, forger, task, offer } = await heldTask("holder", "forger");
    const name = nameOf(offer);
    forger.say([
      { case: "accept", value: { ...name, sequence: 2n } },
      { case: "decline", value: { ...name, message: "not mine" } },
      { case: "progress", value: { ...name, progress: { case: "started", value: {} } } },
      { case: "triggerEvent", value: { ...name, number: 1n, payload: Buffer.from("forged") } },
      reportOf(offer, "forged"),
    ]);
    expect(await forger.hear("withdraw")).toMatchObject({ task, reason: "attempt_stale" });
    expect((await forger.hear("triggerEventAnswer")).refusal).toBeDefined();
    expect(await forger.hear("reportAnswer")).toMatchObject({ task, verdict: ReportVerdict.STALE });
    const entries = [{ ...name, state: AttemptState.STARTED }];
    forger.say([{ case: "inventory", value: { sequence: 3n, entries } }]);
    const { verdicts } = await forger.hear("inventoryAnswer", (value) => value.verdicts.length > 0);
    expect(verdicts).toMatchObject([{ task, verdict: InventoryVerdict.KILL }]);
    expect((await operator.tasks.getTask({ deployment, task })).task).toMatchObject({
      state: TaskState.ASSIGNED,
      attempts: 1,
      attempt: { agent: "holder", stage: AttemptStage.CONFIRMED },
    });
    const refused = await metric('scheduler_refused_reports_total{verdict="STALE"}');
    expect(refused).toBe(refusedBefore + 1);
    // The one that holds it is not disturbed, nor is the session of the other.
    holder.say([reportOf(offer, "true")]);
    expect((await holder.hear("reportAnswer")).verdict).toBe(ReportVerdict.ACCEPTED);
    expect((await operator.untilEnded(task)).state).toBe(TaskState.SUCCEEDED);
    forger.beat(7);
    await forger.hear("beatAck", ({ sequence }) => sequence === 7n);
  });

  test("SEC-E1 PROTOCOL-C3 E1: a refused report is one row of the audit, with the run time that it wasted, and dropped calls are another", async () => {
    const { holder, forger, task, offer } = await heldTask("reporter", "late");
    for (const nth of [1, 2]) {
      forger.say([reportOf(offer, "late", 3)]);
      await waitFor(
        () => forger.heard.filter(({ event }) => event.case === "reportAnswer").length === nth,
        { what: `answer ${nth}` },
      );
    }
    holder.say([reportOf(offer, "true")]);
    await operator.untilEnded(task);
    const audit = createClient(AuditService, operator.transport);
    const rows = await waitFor(
      async () => {
        const { entries } = await audit.listAuditEntries({ deployment, pageSize: 100 });
        const own = entries.filter(({ subject }) => subject === `task:${task}`);
        const late = own.filter(({ actor }) => actor === `agent:${deployment}/late`);
        return late.length >= 2 ? late : undefined;
      },
      { what: "the audit's rows", timeoutMs: 30_000 },
    );
    const shown = rows.map(({ action, result, detailJson }) => ({
      ...{ action, result },
      detail: JSON.parse(detailJson),
    }));
    expect(shown).toHaveLength(2);
    expect(shown).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          ...{ action: "report", result: "STALE" },
          detail: expect.objectContaining({ ranMs: 4_500 }),
        }),
        expect.objectContaining({
          ...{ action: "kept_calls", result: "DROPPED" },
          detail: expect.objectContaining({ calls: 3 }),
        }),
      ]),
    );
    expect((await operator.tasks.getTask({ deployment, task })).task).toMatchObject({
      state: TaskState.SUCCEEDED,
      staleReports: 2,
      droppedCalls: 3,
    });
  });
});

describe("what breaks the order", () => {
  test("PROTOCOL-L1 L5: what is out of order, of an unknown session or a generation from the past renews nothing, and is counted", async () => {
    const { agent, stream } = await join("orderly");
    const instance = new Uint8Array(16).fill(instances);
    const welcome = await stream.welcome();
    const { session, generation } = welcome;
    if (session === undefined) throw new Error("no session");
    stream.beat(9);
    await stream.hear("beatAck", ({ sequence }) => sequence === 9n);
    stream.beat(4);
    const beat = create(AgentEventSchema, { event: { case: "beat", value: { sequence: 50n } } });
    const frames = [
      { session: { ...session, number: session.number + 7n }, generation },
      { session, generation: generation - 1n },
    ];
    for (const frame of frames) {
      stream.call.write(create(SessionRequestSchema, { ...frame, events: [beat] }));
    }
    const past = agent.resume(welcome, { ...helloOf("orderly", "default"), instance }, 1);
    expect(await past.ended).toMatchObject({ code: "session_superseded" });
    const unknown = { ...welcome, session: { ...session, number: 999n } } as typeof welcome;
    const stranger = agent.resume(unknown, helloOf("orderly", "default"), 2);
    expect(await stranger.ended).toMatchObject({ code: "session_key_refused" });
    stream.beat(10);
    await stream.hear("beatAck", ({ sequence }) => sequence === 10n);
    const acknowledged = stream.heard.flatMap(({ event }) =>
      event.case === "beatAck" ? [event.value.sequence] : [],
    );
    expect(acknowledged).not.toContain(4n);
    expect(acknowledged).not.toContain(50n);
    expect(await metric('registry_foreign_frames_total{names="session"}')).toBe(1);
    expect(await metric('registry_foreign_frames_total{names="older_stream"}')).toBe(1);
    for (const code of ["session_superseded", "session_key_refused"]) {
      expect(await metric(`registry_hellos_refused_total{code="${code}"}`)).toBe(1);
    }
  });

  test("PROTOCOL-L5: a second hello on a stream ends it, and the door goes on", async () => {
    const { stream } = await join("twice");
    stream.say([{ case: "hello", value: helloOf("twice", "default") }]);
    expect(await stream.ended).toMatchObject({ code: "frame_invalid" });
    await join("after");
    expect((await fetch(`${plane.processes[0]?.metricsUrl}/readyz`)).status).toBe(200);
  });
});
