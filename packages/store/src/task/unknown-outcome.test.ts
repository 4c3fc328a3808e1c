// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  candidate,
  claim,
  deployment,
  startTaskWorld,
  submission,
  type TaskWorld,
} from "./task-test-kit.ts";

let world: TaskWorld;
beforeAll(async () => {
  world = await startTaskWorld();
});
afterAll(() => world.stop());

/** Drops the connection while a call is on its way: its outcome is unknown to the caller. */
async function cutOff<Reply>(call: () => Promise<Reply>): Promise<unknown> {
  const redis = world.redis.commands;
  process.kill(world.server.pid, "SIGSTOP");
  const calling = call().catch((error: unknown) => error);
  // The call is written with this tick; the server takes it from its socket once it goes on.
  await new Promise((resolve) => setImmediate(resolve));
  const back = new Promise((resolve) => redis.once("ready", resolve));
  redis.stream.destroy();
  const failed = await calling;
  process.kill(world.server.pid, "SIGCONT");
  await back;
  return failed;
}

test("PROTOCOL-D4: a call whose connection dropped is not sent again; its outcome is unknown", async () => {
  await world.reset();
  const session = await world.setSession("a1");
  const items = ["one", "two", "three"].map((word) => submission(word));
  await world.tasks.submit({ deployment, items });
  const claiming = () => claim(world, [candidate("a1", session)], 1);
  expect(await cutOff(claiming)).toMatchObject({ name: "StoreUnavailable", outcome: "unknown" });
  // At most the one call was done: sent again it would have offered a second task.
  const depths = await world.tasks.depths({ deployment });
  const queued = depths.kind === "depths" ? depths.states.get("QUEUED") : undefined;
  expect(queued).toBeGreaterThanOrEqual(2);
});

test("PROTOCOL-D4: what is idempotent may be repeated after it: one task, whatever became of the first call", async () => {
  await world.reset();
  const submit = () => world.tasks.submit({ deployment, items: [submission("one")] });
  expect(await cutOff(submit)).toMatchObject({ outcome: "unknown" });
  const again = await submit();
  const [answer] = again.kind === "submitted" ? again.answers : [];
  expect(["queued", "existing"]).toContain(answer?.kind);
  const depths = await world.tasks.depths({ deployment });
  expect(depths.kind === "depths" && depths.states.get("QUEUED")).toBe(1);
});
