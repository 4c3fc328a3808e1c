// SPDX-License-Identifier: Apache-2.0
import { durationFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { lostAfterNeverMs } from "@remex/domain";
import { AttemptState, InventoryVerdict, ReportVerdict } from "@remex/proto/agent/v1";
import { OnCut } from "@remex/proto/common/v1";
import { TaskState } from "@remex/proto/scheduler/v1";
import { createSessionStore } from "@remex/store";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FarAgent, type SchedulerWorld, startScheduler, until } from "./scheduler-test-kit.ts";
import { deployment, type StoreWorld, startStoreWorld } from "./store-test-kit.ts";

const lostAfterMs = 300_000;

describe("work of lost agents, with two schedulers", () => {
  let store: StoreWorld;
  let one: SchedulerWorld;
  let two: SchedulerWorld;
  beforeAll(async () => {
    store = await startStoreWorld();
  });
  beforeEach(async () => {
    await store.reset({ lostAfterMs });
    one = await startScheduler(store, "scheduler-1");
    two = await startScheduler(store, "scheduler-2");
  });
  afterEach(() => {
    one.stop();
    two.stop();
  });
  afterAll(() => store.stop());

  const taskOf = async (task: string) => (await two.client.getTask({ deployment, task })).task;
  const stateOf = async (task: string) => TaskState[(await taskOf(task))?.state ?? 0];
  const untilState = (task: string, state: keyof typeof TaskState) =>
    until(`${task} ${state}`, async () => ((await stateOf(task)) === state ? true : undefined));
  const confirmed = async (agent: FarAgent) => {
    const offer = await agent.next("offer");
    agent.accept(offer);
    await agent.next("confirm");
    agent.started(offer);
    return offer;
  };
  const fail = async (agent: FarAgent) => {
    await store.failSilent();
    agent.detach();
    await Promise.all([one.scheduler.sweepOnce(), two.scheduler.sweepOnce()]);
  };
  const sweepBoth = () => Promise.all([one.scheduler.sweepOnce(), two.scheduler.sweepOnce()]);

  test("R23 R31 PROTOCOL-H1: an agent that comes back within lost_after, to the other scheduler, keeps its work", async () => {
    const agent = await one.agent("a1");
    const [task = ""] = await one.submit({});
    const offer = await confirmed(agent);
    await fail(agent);
    expect(await taskOf(task)).toMatchObject({
      state: TaskState.HELD,
      attempt: { agent: "a1", reason: "lease_expired" },
    });
    const until = (await taskOf(task))?.heldUntil;
    expect(until === undefined ? 0 : timestampMs(until)).toBe(store.nowMs + lostAfterMs);
    const other = await two.agent("a2");
    await sweepBoth();
    expect(other.all("offer")).toHaveLength(0);

    const back = await two.agent("a1", {
      entries: [{ task, attempt: offer.attempt, state: AttemptState.STARTED }],
    });
    const [answer] = back.all("inventoryAnswer");
    expect(answer?.verdicts).toMatchObject([{ task, verdict: InventoryVerdict.KEEP }]);
    expect(await stateOf(task)).toBe("ASSIGNED");
    store.nowMs += lostAfterMs;
    await sweepBoth();
    back.report(offer);
    expect((await back.next("reportAnswer")).verdict).toBe(ReportVerdict.ACCEPTED);
    expect(await taskOf(task)).toMatchObject({ state: TaskState.SUCCEEDED, attempts: 1 });
  });

  test("R31 PROTOCOL-H1: after lost_after it runs elsewhere once, whichever schedulers sweep; the zombie is killed", async () => {
    const agent = await one.agent("a1");
    const [task = ""] = await one.submit({});
    const offer = await confirmed(agent);
    await fail(agent);
    const other = await two.agent("a2");
    store.nowMs += lostAfterMs;
    // The other agent lives all the time.
    const session = `rmx:{${deployment}}:session:a2`;
    await store.redis.commands.hset(session, "beatAtMs", String(store.nowMs));
    await sweepBoth();
    const again = await confirmed(other);
    expect(again.task).toBe(task);
    await sweepBoth();
    expect(await taskOf(task)).toMatchObject({ attempts: 2, recoveries: 1, retries: 0 });
    const entries = [{ task, attempt: offer.attempt, state: AttemptState.STARTED }];
    const back = await one.agent("a1", { entries });
    const [answer] = back.all("inventoryAnswer");
    expect(answer?.verdicts).toMatchObject([{ verdict: InventoryVerdict.KILL }]);
    back.report(offer);
    expect(await back.next("reportAnswer")).toMatchObject({
      verdict: ReportVerdict.STALE,
      supersededBy: again.attempt,
    });
    expect(await stateOf(task)).toBe("ASSIGNED");
  });

  test("PROTOCOL-H1: what was not confirmed, and what its agent aborts, is queued again at FAILED", async () => {
    const agent = await one.agent("a1", { slots: 2 });
    const [aborts = ""] = await one.submit({ onCut: OnCut.ABORT });
    await confirmed(agent);
    const [offered = ""] = await one.submit({});
    await agent.next("offer", 2);
    await fail(agent);
    expect([await stateOf(aborts), await stateOf(offered)]).toEqual(["QUEUED", "QUEUED"]);
    expect([(await taskOf(aborts))?.recoveries, (await taskOf(offered))?.recoveries]).toEqual([
      1, 0,
    ]);
  });

  test("PROTOCOL-H1: never waits for the operator's word, and shows no instant", async () => {
    const agent = await one.agent("a1");
    const [task = ""] = await one.submit({ lostAfter: durationFromMs(lostAfterNeverMs) });
    await confirmed(agent);
    await fail(agent);
    store.nowMs += 30 * 24 * 3_600_000;
    await sweepBoth();
    expect(await stateOf(task)).toBe("HELD");
    expect((await taskOf(task))?.heldUntil).toBeUndefined();
    await createSessionStore(store.store, () => store.nowMs).declareGone(deployment, "a1");
    await untilState(task, "QUEUED");
    const { changes } = await two.client.listTaskChanges({ deployment, cursor: await begin() });
    expect(changes.map(({ state }) => TaskState[state])).toContain("HELD");
    const held = await two.client.listTasks({ deployment, states: [TaskState.HELD] });
    expect(held.tasks).toEqual([]);
  });

  const begin = async () => `${store.store.epoch.current()}.0-0`;
});
