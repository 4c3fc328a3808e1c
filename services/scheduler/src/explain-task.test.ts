// SPDX-License-Identifier: Apache-2.0
import { DeclineReason } from "@remex/proto/agent/v1";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type SchedulerWorld, startScheduler, until } from "./scheduler-test-kit.ts";
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

test("PROTOCOL-S8: explain names who is full, who refused and whether an agent fits, from the store", async () => {
  const agent = await world.agent("a1", { slots: 1 });
  // What the session's record says of slots is what it said at its hello.
  await store.redis.commands.hset(`rmx:{${deployment}}:session:a1`, "slots", "1");
  const [, waiting = "", elsewhere = ""] = await world.submit({}, {}, { queue: "gpu" });
  const explained = async (task: string) => {
    const { explanations } = await world.client.explainTask({ deployment, task });
    return explanations.map(({ code, agents }) => [code, ...agents].join(" "));
  };
  const first = await agent.next("offer");
  expect(await explained(first.task)).toEqual(["offered a1"]);
  expect(await explained(elsewhere)).toEqual(["no_agent_on_queue"]);
  expect(await explained(waiting)).toEqual(["full a1"]);
  const message = "no module x";
  const { task, attempt } = first;
  const reason = DeclineReason.CANNOT_RUN;
  agent.say({ event: { case: "decline", value: { task, attempt, reason, message } } });
  await until("the refusal", async () => {
    const { explanations } = await world.client.explainTask({ deployment, task });
    return explanations.some(({ text }) => text.includes(message)) ? true : undefined;
  });
  await expect(explained("t_none")).rejects.toThrow(/there is no task t_none/);
});
