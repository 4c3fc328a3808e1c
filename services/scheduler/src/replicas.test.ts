// SPDX-License-Identifier: Apache-2.0
import { ReportVerdict } from "@remex/proto/agent/v1";
import { TaskState } from "@remex/proto/scheduler/v1";
import { StoreUnavailable } from "@remex/store";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type SchedulerWorld, startScheduler, until } from "./scheduler-test-kit.ts";
import { deployment, type StoreWorld, startStoreWorld } from "./store-test-kit.ts";

/** False while replicas do not have what is written. */
let replicated = true;
let asked = 0;
const settled = async (): Promise<void> => {
  asked += 1;
  if (!replicated) throw new StoreUnavailable("unknown", "as replicated: 0 of 1 replicas");
};

let store: StoreWorld;
let world: SchedulerWorld;
beforeAll(async () => {
  store = await startStoreWorld({ settled });
});
beforeEach(async () => {
  replicated = true;
  await store.reset();
  world = await startScheduler(store);
});
afterEach(() => world.stop());
afterAll(() => store.stop());

const stateOf = async (task: string) =>
  TaskState[(await world.client.getTask({ deployment, task })).task?.state ?? 0];

/** Until the scheduler has asked for replicas once more and was refused. */
const refusedOnce = async () => {
  const before = asked;
  await until("a wait for replicas", async () => (asked > before ? true : undefined));
};

test("PROTOCOL-D1: without its replicas an accept is not confirmed, and is as soon as they are back", async () => {
  const agent = await world.agent("a1");
  await world.submit({});
  const offer = await agent.next("offer");
  replicated = false;
  agent.accept(offer);
  await refusedOnce();
  await refusedOnce();
  expect(agent.all("confirm")).toEqual([]);
  expect(agent.all("withdraw")).toEqual([]);
  replicated = true;
  expect(await agent.next("confirm")).toMatchObject({ task: offer.task });
});

test("PROTOCOL-D1: without its replicas a result is answered RETRY, and DUPLICATE only once they have it", async () => {
  const agent = await world.agent("a1");
  await world.submit({});
  const offer = await agent.next("offer");
  agent.accept(offer);
  await agent.next("confirm");
  replicated = false;
  agent.report(offer);
  expect((await agent.next("reportAnswer")).verdict).toBe(ReportVerdict.RETRY);
  agent.report(offer);
  expect((await agent.next("reportAnswer", 2)).verdict).toBe(ReportVerdict.RETRY);
  replicated = true;
  agent.report(offer);
  expect((await agent.next("reportAnswer", 3)).verdict).toBe(ReportVerdict.DUPLICATE);
  expect(await stateOf(offer.task)).toBe("SUCCEEDED");
});

test("PROTOCOL-D1: without its replicas a submit and a cancel are refused, and safe to repeat", async () => {
  const [task = ""] = await world.submit({ key: "one" });
  replicated = false;
  await expect(world.submit({ key: "two" })).rejects.toThrow(/the outcome of the call is unknown/);
  const cancel = () => world.client.cancelTasks({ deployment, tasks: [task] });
  await expect(cancel()).rejects.toThrow(/the outcome of the call is unknown/);
  replicated = true;
  const [again] = await world.submit({ key: "two" });
  expect(await stateOf(again ?? "")).toBe("QUEUED");
  expect((await cancel()).results).toMatchObject([{ state: TaskState.CANCELED }]);
});
