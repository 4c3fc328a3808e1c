// SPDX-License-Identifier: Apache-2.0
// Proves what the scheduler does when operators take agents out: offers back, work given up.
import { TaskState } from "@remex/proto/scheduler/v1";
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
  await store.reset({ lostAfterMs: 3_600_000 });
  world = await startScheduler(store);
});
afterEach(() => world.stop());
afterAll(() => store.stop());

const stateOf = async (task: string) =>
  TaskState[(await world.client.getTask({ deployment, task })).task?.state ?? 0];
const untilState = (task: string, state: keyof typeof TaskState) =>
  until(`${task} ${state}`, async () => ((await stateOf(task)) === state ? true : undefined));
const confirmed = async (agent: FarAgent) => {
  const offer = await agent.next("offer");
  agent.accept(offer);
  await agent.next("confirm");
  return offer;
};
const sessions = () => createSessionStore(store.store, () => store.nowMs);

describe("an agent that is taken out", () => {
  test.each(["cordoned", "draining", "deleted", "session_ending"])(
    "PROTOCOL-O1: has its open offers taken back at once when it is %s",
    async (reason) => {
      const agent = await world.agent("a1", { slots: 2 });
      await world.submit({}, {});
      const kept = await confirmed(agent);
      const open = await agent.next("offer", 2);
      agent.admit(false, reason);
      expect(await agent.next("withdraw")).toMatchObject({ task: open.task, reason });
      await untilState(open.task, "QUEUED");
      expect(await stateOf(kept.task)).toBe("ASSIGNED");
      const other = await world.agent("a2");
      expect((await other.next("offer")).task).toBe(open.task);
    },
  );

  test("PROTOCOL-O1: one that merely missed a beat keeps its open offers", async () => {
    const agent = await world.agent("a1");
    await world.submit({});
    const offer = await agent.next("offer");
    agent.admit(false, "beats_missed");
    agent.accept(offer);
    await agent.next("confirm");
    expect(agent.all("withdraw")).toEqual([]);
  });

  test("PROTOCOL-H1 PROTOCOL-O3: an operator's word gives up what was held, which runs elsewhere", async () => {
    const agent = await world.agent("a1");
    const [task = ""] = await world.submit({});
    await confirmed(agent);
    await store.failSilent();
    await world.scheduler.sweepOnce();
    agent.detach();
    expect(await stateOf(task)).toBe("HELD");
    expect(await sessions().declareGone(deployment, "a1")).toMatchObject({ kind: "gone" });
    await world.scheduler.sweepOnce();
    const other = await world.agent("a2");
    expect((await other.next("offer")).task).toBe(task);
    expect(await sessions().readGiveups(deployment, 9)).toEqual([]);
  });

  test("PROTOCOL-O3 R26: what is held for a deleted agent is given up at once", async () => {
    const agent = await world.agent("a1");
    const [task = ""] = await world.submit({});
    await confirmed(agent);
    await store.failSilent();
    await world.scheduler.sweepOnce();
    agent.detach();
    const control = { kind: "deleted", note: "", nameFreeAtMs: store.nowMs + 1e6 } as const;
    await sessions().projectControls(
      deployment,
      {
        ...{ revision: 1, groups: [] },
        agents: [{ agent: "a1", revision: 1, control }],
        tombstones: [],
      },
      await sessions().loadControlsMarker(deployment),
    );
    await world.scheduler.sweepOnce();
    const other = await world.agent("a2");
    expect((await other.next("offer")).task).toBe(task);
  });
});
