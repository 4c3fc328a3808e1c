// SPDX-License-Identifier: Apache-2.0
// What becomes of the attempts of an agent whose restarted process takes its place over, in a real store (T6).

import { requireRef } from "@remex/domain";
import { AttemptState } from "@remex/proto/agent/v1";
import { OnLost } from "@remex/proto/common/v1";
import { AttemptStage, TaskState } from "@remex/proto/scheduler/v1";
import { createSessionStore } from "@remex/store";
import { sessionFixtureFacts } from "@remex/store/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type FarAgent, type SchedulerWorld, startScheduler, until } from "./scheduler-test-kit.ts";
import { deployment, type StoreWorld, startStoreWorld } from "./store-test-kit.ts";

let store: StoreWorld;
beforeAll(async () => {
  store = await startStoreWorld();
});
beforeEach(() => store.reset());
afterAll(() => store.stop());

const restarted = { ...sessionFixtureFacts, instance: "bb".repeat(16) };

/** The agent's next session, of a process that holds the lock of the one before. */
async function takeOver(): Promise<string> {
  const sessions = createSessionStore(store.store, () => store.nowMs);
  const claim = { dial: 1, oldInstance: sessionFixtureFacts.instance };
  const opened = await sessions.open(deployment, "a1", restarted, claim);
  if (opened.kind !== "opened") throw new Error(opened.kind);
  const beat = {
    sequence: 1,
    loopTurns: 1,
    loopAgeMs: 0,
    runnerState: "READY",
    slotsUsed: 0,
  } as const;
  const session = requireRef(opened.session);
  await sessions.renew(deployment, "monitor-1", [{ agent: "a1", session, generation: 1, ...beat }]);
  return opened.session;
}

async function runTwo(world: SchedulerWorld, agent: FarAgent) {
  const [started = "", confirmed = ""] = await world.submit(
    { onLost: OnLost.FAIL },
    { onLost: OnLost.FAIL },
  );
  const offers = [await agent.next("offer"), await agent.next("offer", 2)];
  for (const offer of offers) agent.accept(offer);
  await agent.next("confirm", 2);
  const offerOf = (task: string) => offers.find((offer) => offer.task === task) ?? offers[0]!;
  agent.started(offerOf(started));
  const taskOf = async (task: string) => (await world.client.getTask({ deployment, task })).task;
  await until("the start", async () =>
    (await taskOf(started))?.attempt?.stage === AttemptStage.STARTED ? true : undefined,
  );
  return { started, confirmed, offerOf, taskOf };
}

test("PROTOCOL-T6: what the journal of a restarted agent lacks is given up, reason agent_restarted", async () => {
  const world = await startScheduler(store);
  const agent = await world.agent("a1", { slots: 2 });
  const { started, confirmed, taskOf } = await runTwo(world, agent);
  agent.slots = 0;
  agent.reattach(await takeOver(), []);
  const failed = await until("the word on the started one", async () => {
    const task = await taskOf(started);
    return task?.state === TaskState.FAILED ? task : undefined;
  });
  expect(failed.attempt).toMatchObject({ stage: AttemptStage.LOST, reason: "agent_restarted" });
  // A confirmed attempt that never started is lost at no cost.
  const attempt = (await taskOf(confirmed))?.attempt;
  expect(attempt).toMatchObject({ stage: AttemptStage.LOST, reason: "agent_restarted" });
  world.stop();
});

test("PROTOCOL-T6: what it took up after its restart and lacks later is lost for another reason", async () => {
  const world = await startScheduler(store);
  const agent = await world.agent("a1", { slots: 2 });
  agent.reattach(await takeOver(), []);
  const { started, confirmed, offerOf, taskOf } = await runTwo(world, agent);
  agent.slots = 0;
  agent.inventory([{ ...offerOf(confirmed), state: AttemptState.STARTED }]);
  const failed = await until("the word on the started one", async () => {
    const task = await taskOf(started);
    return task?.state === TaskState.FAILED ? task : undefined;
  });
  expect(failed.attempt).toMatchObject({ reason: "not_in_inventory" });
  world.stop();
});
