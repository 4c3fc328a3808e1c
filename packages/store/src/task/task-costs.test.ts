// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  attemptOf,
  candidate,
  claim,
  confirm,
  deployment,
  report,
  settle,
  startTaskWorld,
  submission,
  type TaskWorld,
} from "./task-test-kit.ts";
import type { SubmitItem } from "./task-writes.ts";

describe("what an attempt that ended otherwise costs its task", () => {
  let world: TaskWorld;
  beforeAll(async () => {
    world = await startTaskWorld();
  });
  beforeEach(() => world.reset());
  afterAll(() => world.stop());

  const rowOf = async (id: string) => {
    const tasks = await world.tasks.get({ deployment, ids: [id] });
    return tasks.kind === "tasks" ? tasks.rows[0] : undefined;
  };
  const offered = async (fields: Partial<SubmitItem> = {}) => {
    const session = await world.setSession("a1");
    const item = submission("one", { maxRetries: 1, ...fields });
    await world.tasks.submit({ deployment, items: [item] });
    const { offers } = await claim(world, [candidate("a1", session)]);
    return { id: item.id, attempt: attemptOf(offers[0]!), session };
  };
  const confirmed = async (fields: Partial<SubmitItem> = {}) => {
    const { id, attempt, session } = await offered(fields);
    await confirm(world, "a1", session, [{ id, attempt }]);
    return { id, attempt, session };
  };

  test("PROTOCOL-H2 S5: declined, expired, or lost before the confirmation costs nothing", async () => {
    const first = await offered();
    const reason = "no_slots";
    const declines = [{ agent: "a1", ...first, reason, message: "" }];
    await world.tasks.decline({ deployment, declines });
    expect(await rowOf(first.id)).toMatchObject({ state: "QUEUED", retries: 0, recoveries: 0 });
    await offered();
    world.now += 5_000;
    await world.tasks.expireOffers({ deployment, most: 10 });
    expect(await rowOf(first.id)).toMatchObject({ state: "QUEUED", retries: 0, recoveries: 0 });
    expect(await rowOf(first.id)).toMatchObject({ attempts: 2 });
  });

  test("PROTOCOL-H2 O2: drained work follows on_lost and costs no retry", async () => {
    const requeued = await confirmed();
    const aborted = { kind: "ABORTED", reason: "drained" } as const;
    await settle(world, "a1", requeued.session, report(requeued.id, requeued.attempt, aborted));
    expect(await rowOf(requeued.id)).toMatchObject({ state: "QUEUED", retries: 0, recoveries: 1 });
    await world.reset();
    const failed = await confirmed({ onLost: "FAIL" });
    await settle(world, "a1", failed.session, report(failed.id, failed.attempt, aborted));
    expect(await rowOf(failed.id)).toMatchObject({
      state: "FAILED",
      retries: 0,
      reason: "drained",
    });
  });

  test("PROTOCOL-C4: an aborted or declined attempt with a cancel wished ends the task CANCELED", async () => {
    const aborted = await confirmed();
    await world.tasks.cancel({ deployment, ids: [aborted.id] });
    const item = report(aborted.id, aborted.attempt, { kind: "ABORTED", reason: "drained" });
    await settle(world, "a1", aborted.session, item);
    expect(await rowOf(aborted.id)).toMatchObject({ state: "CANCELED" });
    await world.reset();
    const declined = await confirmed();
    await world.tasks.cancel({ deployment, ids: [declined.id] });
    const declines = [{ agent: "a1", ...declined, reason: "window_passed", message: "" }];
    await world.tasks.decline({ deployment, declines });
    expect(await rowOf(declined.id)).toMatchObject({ state: "CANCELED" });
  });

  test("PROTOCOL-H2: DUPLICATE_START ends the attempt and the task, as neither success nor failure", async () => {
    const { id, attempt, session } = await confirmed();
    const item = report(id, attempt, { kind: "DUPLICATE_START" });
    expect(await settle(world, "a1", session, item)).toBe("ACCEPTED");
    expect(await rowOf(id)).toMatchObject({
      state: "CANCELED",
      reason: "duplicate_start",
      retries: 0,
      recoveries: 0,
    });
  });
});
