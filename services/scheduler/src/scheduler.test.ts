// SPDX-License-Identifier: Apache-2.0
import {
  AttemptState,
  DeclineReason,
  InventoryVerdict,
  ReportVerdict,
} from "@remex/proto/agent/v1";
import { OnLost, OutcomeKind, OutcomeReason } from "@remex/proto/common/v1";
import { AttemptStage, TaskState } from "@remex/proto/scheduler/v1";
import { createSessionStore } from "@remex/store";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FarAgent, type SchedulerWorld, startScheduler, until } from "./scheduler-test-kit.ts";
import { deployment, type StoreWorld, startStoreWorld } from "./store-test-kit.ts";

let store: StoreWorld;
let world: SchedulerWorld;
beforeAll(async () => {
  store = await startStoreWorld();
});
beforeEach(async () => {
  await store.reset();
  world = await startScheduler(store);
});
afterEach(() => world.stop());
afterAll(() => store.stop());

const taskOf = async (task: string) => (await world.client.getTask({ deployment, task })).task;
const stateOf = async (task: string) => TaskState[(await taskOf(task))?.state ?? 0];
/** Waits until the store says so: what the scheduler does on its own has no other sign. */
const untilState = (task: string, state: keyof typeof TaskState) =>
  until(`${task} ${state}`, async () => ((await stateOf(task)) === state ? true : undefined));
const confirmed = async (agent: FarAgent, nth = 1) => {
  const offer = await agent.next("offer", nth);
  agent.accept(offer);
  await agent.next("confirm", nth);
  return offer;
};
const started = async (agent: FarAgent, nth = 1) => {
  const offer = await confirmed(agent, nth);
  agent.started(offer);
  await until("the start", async () =>
    (await taskOf(offer.task))?.attempt?.stage === AttemptStage.STARTED ? true : undefined,
  );
  return offer;
};
const endSession = async (agent: FarAgent) => {
  await store.failSilent();
  await world.scheduler.sweepOnce();
  agent.detach();
};

describe("a task from submission to result", () => {
  test("it is offered, confirmed, started and settled, and its history tells each step", async () => {
    const agent = await world.agent("a1");
    const { cursor } = await world.client.listTaskChanges({ deployment });
    const [task = ""] = await world.submit({
      key: "one",
      work: { case: "command", value: { argv: ["/bin/true"], env: { b: "2", a: "1" } } },
    });
    const offer = await agent.next("offer");
    expect(offer).toMatchObject({ task, idempotencyKey: "one" });
    expect(offer.spec?.work).toMatchObject({ case: "command", value: { argv: ["/bin/true"] } });
    agent.accept(offer);
    expect(await agent.next("confirm")).toMatchObject({ task, attempt: offer.attempt });
    agent.started(offer);
    agent.report(offer, {
      kind: OutcomeKind.FAILED,
      reason: OutcomeReason.EXIT_CODE,
      exitCode: 3,
      message: "broke",
    });
    const answer = await agent.next("reportAnswer");
    expect(answer.verdict).toBe(ReportVerdict.ACCEPTED);
    expect(await taskOf(task)).toMatchObject({
      state: TaskState.FAILED,
      reason: "exit_code",
      attempts: 1,
      attempt: { stage: AttemptStage.ENDED, agent: "a1", outcome: { exitCode: 3 } },
    });
    const { changes } = await world.client.listTaskChanges({ deployment, cursor });
    expect(changes.map(({ state, stage }) => [TaskState[state], AttemptStage[stage]])).toEqual([
      ["QUEUED", "UNSPECIFIED"],
      ["ASSIGNED", "OFFERED"],
      ["ASSIGNED", "CONFIRMED"],
      ["ASSIGNED", "STARTED"],
      ["FAILED", "ENDED"],
    ]);
    expect(changes.at(-1)).toMatchObject({
      idempotencyKey: "one",
      reason: "exit_code",
      exitCode: 3,
      message: "broke",
      outcome: OutcomeKind.FAILED,
    });
  });

  test("PROTOCOL-S8: an agent is never offered more than its slots, and the next when one is free", async () => {
    const agent = await world.agent("a1", { slots: 3 });
    await world.submit({}, { slotCost: 2 }, {});
    const first = await confirmed(agent);
    await agent.next("offer", 2);
    await world.scheduler.sweepOnce();
    expect(agent.all("offer")).toHaveLength(2);
    agent.report(first);
    await agent.next("offer", 3);
  });

  test("PROTOCOL-S9: tasks wait in lanes, and only agents that have what one needs are offered it", async () => {
    const plain = await world.agent("a1");
    const fit = await world.agent("a2", {
      queues: ["gpu"],
      labels: { zone: "eu" },
      runtimes: ["command"],
    });
    const command = { case: "command" as const, value: { argv: ["x"] } };
    const [, mine = ""] = await world.submit(
      { queue: "gpu", requiredLabels: { zone: "us" }, work: command },
      { queue: "gpu", requiredLabels: { zone: "eu" }, work: command },
      { queue: "gpu" },
    );
    expect((await fit.next("offer")).task).toBe(mine);
    await world.scheduler.sweepOnce();
    expect(fit.all("offer")).toHaveLength(1);
    expect(plain.all("offer")).toHaveLength(0);
  });

  test("PROTOCOL-I6: an agent that may get no offers gets none until it may", async () => {
    const agent = await world.agent("a1", { offersAllowed: false });
    await world.submit({});
    await world.scheduler.sweepOnce();
    expect(agent.all("offer")).toHaveLength(0);
    agent.admit(true);
    await agent.next("offer");
  });
});

describe("starts that do not happen", () => {
  test("PROTOCOL-S5: a declined attempt is queued again at no cost and offered again", async () => {
    const agent = await world.agent("a1");
    const [task = ""] = await world.submit({});
    const offer = await confirmed(agent);
    agent.decline(offer, DeclineReason.WINDOW_PASSED);
    const again = await agent.next("offer", 2);
    expect(again.task).toBe(task);
    expect(again.attempt?.number).toBeGreaterThan(offer.attempt?.number ?? 0n);
    expect(await taskOf(task)).toMatchObject({ attempts: 2, retries: 0, recoveries: 0 });
  });

  test("PROTOCOL-S3: an accept is not confirmed when the lease has ended by the store", async () => {
    const agent = await world.agent("a1");
    const [task = ""] = await world.submit({});
    const offer = await agent.next("offer");
    store.nowMs += 30_000;
    agent.accept(offer);
    expect((await agent.next("withdraw")).reason).toBe("lease_ended");
    expect(agent.all("confirm")).toHaveLength(0);
    expect(await stateOf(task)).toBe("QUEUED");
  });

  test("PROTOCOL-S3: an accept that is repeated is confirmed again", async () => {
    const agent = await world.agent("a1");
    await world.submit({});
    const offer = await confirmed(agent);
    agent.accept(offer);
    expect((await agent.next("confirm", 2)).attempt).toEqual(offer.attempt);
  });

  test("an offer that is not answered is queued again when its time to live has passed", async () => {
    const agent = await world.agent("a1");
    const [task = ""] = await world.submit({});
    const offer = await agent.next("offer");
    store.nowMs += 6_000;
    await world.scheduler.sweepOnce();
    const again = await agent.next("offer", 2);
    expect(again.task).toBe(task);
    agent.accept(offer);
    expect((await agent.next("withdraw")).reason).toBe("attempt_stale");
  });
});

describe("PROTOCOL-C2: every report is answered", () => {
  test("ACCEPTED, then DUPLICATE for the same and CONFLICT for another outcome", async () => {
    const agent = await world.agent("a1");
    const [task = ""] = await world.submit({});
    const offer = await confirmed(agent);
    agent.report(offer);
    agent.report(offer);
    agent.report(offer, { kind: OutcomeKind.FAILED });
    await agent.next("reportAnswer", 3);
    expect(agent.all("reportAnswer").map(({ verdict }) => ReportVerdict[verdict])).toEqual([
      "ACCEPTED",
      "DUPLICATE",
      "CONFLICT",
    ]);
    expect(await stateOf(task)).toBe("SUCCEEDED");
  });

  test("UNKNOWN_TASK, and STALE for an attempt that was never confirmed or is another's", async () => {
    const one = await world.agent("a1", { slots: 1 });
    const two = await world.agent("a2", { queues: ["gpu"] });
    await world.submit({});
    const offer = await one.next("offer");
    one.report({ task: "t_nosuchtask", attempt: offer.attempt });
    expect((await one.next("reportAnswer")).verdict).toBe(ReportVerdict.UNKNOWN_TASK);
    one.report(offer);
    expect(await one.next("reportAnswer", 2)).toMatchObject({
      verdict: ReportVerdict.STALE,
      reason: "not_confirmed",
    });
    one.accept(offer);
    await one.next("confirm");
    two.report(offer);
    expect(await two.next("reportAnswer")).toMatchObject({
      verdict: ReportVerdict.STALE,
      reason: "not_held",
    });
    expect((await taskOf(offer.task))?.staleReports).toBe(2);
  });

  test("RETRY while the session is ENDING", async () => {
    const agent = await world.agent("a1");
    await world.submit({});
    const offer = await confirmed(agent);
    const sessions = createSessionStore(store.store, () => store.nowMs);
    await sessions.beginEnding(deployment, "token_revoked", [{ agent: "a1" }]);
    agent.report(offer);
    expect(await agent.next("reportAnswer")).toMatchObject({ verdict: ReportVerdict.RETRY });
    expect(await stateOf(offer.task)).toBe("ASSIGNED");
  });

  test("a FAILED attempt is tried again while it has retries, and its old result stays known", async () => {
    const agent = await world.agent("a1");
    const [task = ""] = await world.submit({ maxRetries: 1 });
    const first = await confirmed(agent);
    agent.report(first, { kind: OutcomeKind.FAILED });
    const second = await confirmed(agent, 2);
    agent.report(first, { kind: OutcomeKind.FAILED });
    expect((await agent.next("reportAnswer", 2)).verdict).toBe(ReportVerdict.DUPLICATE);
    agent.report(second, { kind: OutcomeKind.FAILED });
    await untilState(task, "FAILED");
    expect(await taskOf(task)).toMatchObject({ attempts: 2, retries: 1 });
  });

  test("PROTOCOL-H2: DUPLICATE_START is neither success nor failure", async () => {
    const agent = await world.agent("a1");
    const [task = ""] = await world.submit({});
    agent.report(await confirmed(agent), { kind: OutcomeKind.DUPLICATE_START });
    await untilState(task, "CANCELED");
    expect((await taskOf(task))?.reason).toBe("duplicate_start");
  });
});

describe("PROTOCOL-C4: a cancel is a wish", () => {
  const cancel = (task: string) => world.client.cancelTasks({ deployment, tasks: [task] });

  test("a queued task is CANCELED at once, an ended one stays as it is, an unknown one is refused", async () => {
    const [task = ""] = await world.submit({});
    const { results } = await cancel(task);
    expect(results[0]?.state).toBe(TaskState.CANCELED);
    expect((await cancel(task)).results[0]?.state).toBe(TaskState.CANCELED);
    expect((await cancel("t_none")).results[0]?.refusal?.code).toBe("task_unknown");
    const agent = await world.agent("a1");
    await world.scheduler.sweepOnce();
    expect(agent.all("offer")).toHaveLength(0);
  });

  test("a running one is told to its agent, told again until reported, and then CANCELED", async () => {
    const agent = await world.agent("a1");
    const [task = ""] = await world.submit({});
    const offer = await started(agent);
    expect((await cancel(task)).results[0]?.state).toBe(TaskState.ASSIGNED);
    expect((await agent.next("cancel")).attempt).toEqual(offer.attempt);
    await world.scheduler.slowOnce();
    await until("a repetition", () => (agent.all("cancel").length >= 2 ? true : undefined));
    agent.report(offer, { kind: OutcomeKind.ABORTED, reason: OutcomeReason.CANCELED });
    await untilState(task, "CANCELED");
  });

  test("a result that was reported before the stop stands", async () => {
    const agent = await world.agent("a1");
    const [task = ""] = await world.submit({});
    const offer = await started(agent);
    await cancel(task);
    agent.report(offer);
    await untilState(task, "SUCCEEDED");
  });

  test("an offer that was not confirmed is withdrawn", async () => {
    const agent = await world.agent("a1");
    const [task = ""] = await world.submit({});
    await agent.next("offer");
    expect((await cancel(task)).results[0]?.state).toBe(TaskState.CANCELED);
    expect((await agent.next("withdraw")).reason).toBe("canceled");
  });
});

describe("agents that are lost or come back", () => {
  test("PROTOCOL-H2: REQUEUE gives lost work to another agent, within the recovery cap (I20)", async () => {
    const [task = ""] = await world.submit({ maxRecoveries: 1 });
    const one = await world.agent("a1");
    await started(one);
    await endSession(one);
    expect(await taskOf(task)).toMatchObject({ state: TaskState.QUEUED, recoveries: 1 });
    const two = await world.agent("a2");
    await started(two);
    await endSession(two);
    expect(await taskOf(task)).toMatchObject({
      state: TaskState.FAILED,
      reason: "recoveries_exhausted",
    });
  });

  test("PROTOCOL-H2: FAIL fails confirmed work of a lost agent, but never what was not confirmed", async () => {
    const agent = await world.agent("a1");
    const [running = "", offered = ""] = await world.submit(
      { onLost: OnLost.FAIL },
      { onLost: OnLost.FAIL },
    );
    const offer = await agent.next("offer");
    agent.accept(offer);
    await agent.next("confirm");
    await endSession(agent);
    expect(await taskOf(running)).toMatchObject({ state: TaskState.FAILED, reason: "agent_lost" });
    expect(await taskOf(offered)).toMatchObject({ state: TaskState.QUEUED, recoveries: 0 });
  });

  test("PROTOCOL-C2: a result of work that was given up is STALE and changes nothing (I7)", async () => {
    const one = await world.agent("a1");
    const [task = ""] = await world.submit({});
    const offer = await started(one);
    await store.failSilent();
    await world.scheduler.sweepOnce();
    one.report(offer);
    expect((await one.next("reportAnswer")).verdict).toBe(ReportVerdict.STALE);
    expect(await stateOf(task)).toBe("QUEUED");
  });

  test("PROTOCOL-S7: CONFIRMED but absent from a later inventory is queued again at no cost", async () => {
    const agent = await world.agent("a1");
    const [task = ""] = await world.submit({});
    await confirmed(agent);
    agent.inventory([]);
    const again = await agent.next("offer", 2);
    expect(again.task).toBe(task);
    expect(await taskOf(task)).toMatchObject({ recoveries: 0, attempts: 2 });
  });

  test("PROTOCOL-S7: STARTED but absent is LOST, and on_lost decides", async () => {
    const agent = await world.agent("a1");
    const [task = ""] = await world.submit({ onLost: OnLost.FAIL });
    await started(agent);
    agent.inventory([]);
    await untilState(task, "FAILED");
  });

  test("PROTOCOL-S6: a new session keeps what is current and is told to kill and report the rest", async () => {
    const agent = await world.agent("a1", { slots: 3 });
    const [, ended = ""] = await world.submit({}, {});
    const running = await started(agent);
    const session = await world.openSession("a1");
    const foreign = { task: "t_foreign", attempt: running.attempt };
    agent.reattach(session, [
      { ...running, state: AttemptState.STARTED },
      { ...foreign, state: AttemptState.STARTED },
      { task: ended, attempt: running.attempt, state: AttemptState.ENDED },
    ]);
    const answer = await agent.next("inventoryAnswer", 2);
    expect(answer.verdicts.map(({ verdict }) => InventoryVerdict[verdict])).toEqual([
      "KEEP",
      "KILL",
      "REPORT",
    ]);
    agent.report(running);
    expect((await agent.next("reportAnswer")).verdict).toBe(ReportVerdict.ACCEPTED);
  });

  test("PROTOCOL-H3: no offers until every KILL of old attempts is answered", async () => {
    const agent = await world.agent("a1");
    const session = await world.openSession("a1");
    const attempt = { epoch: 1n, number: 1n };
    const old = { task: "t_old", attempt } as never as { task: string };
    agent.reattach(session, [{ ...old, state: AttemptState.STARTED }]);
    await agent.next("inventoryAnswer", 2);
    await world.submit({});
    await world.scheduler.sweepOnce();
    expect(agent.all("offer")).toHaveLength(0);
    agent.report(old, { kind: OutcomeKind.ABORTED, reason: OutcomeReason.KILLED });
    await agent.next("offer");
  });
});
