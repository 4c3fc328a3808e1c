// SPDX-License-Identifier: Apache-2.0

import { ReportVerdict } from "@remex/proto/agent/v1";
import { OutcomeKind, OutcomeReason } from "@remex/proto/common/v1";
import { AttemptStage, TaskState } from "@remex/proto/scheduler/v1";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type SchedulerWorld, startScheduler } from "./scheduler-test-kit.ts";
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
});
