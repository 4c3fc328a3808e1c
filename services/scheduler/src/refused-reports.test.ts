// SPDX-License-Identifier: Apache-2.0
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { ReportVerdict } from "@remex/proto/agent/v1";
import { OutcomeKind } from "@remex/proto/common/v1";
import { createSessionStore, type TaskStore } from "@remex/store";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { AuditNote } from "./refused-reports.ts";
import { startScheduler, until } from "./scheduler-test-kit.ts";
import { deployment, type StoreWorld, startStoreWorld } from "./store-test-kit.ts";

let store: StoreWorld;
beforeAll(async () => {
  store = await startStoreWorld();
});
beforeEach(() => store.reset());
afterAll(() => store.stop());

const unwrapped = (tasks: TaskStore): TaskStore => tasks;

/** A task whose attempt was given up, and its agent, which comes back and reports all the same. */
async function lateReport(world: Awaited<ReturnType<typeof startScheduler>>, droppedCalls = 0) {
  const agent = await world.agent("a1");
  const [task = ""] = await world.submit({});
  const offer = await agent.next("offer");
  agent.accept(offer);
  await agent.next("confirm");
  await store.failSilent();
  await world.scheduler.sweepOnce();
  agent.detach();
  const back = await world.agent("a1", { offersAllowed: false });
  const outcome = { kind: OutcomeKind.SUCCEEDED, runTime: durationFromMs(4_500) };
  back.report(offer, outcome, droppedCalls);
  expect((await back.next("reportAnswer")).verdict).toBe(ReportVerdict.STALE);
  // Its answer was lost: it says the same again.
  back.report(offer, outcome, droppedCalls);
  expect((await back.next("reportAnswer", 2)).verdict).toBe(ReportVerdict.STALE);
  return { task, offer };
}

test("PROTOCOL-C3: a stale report changes nothing but counters, and is shown with the run time that it wasted", async () => {
  const world = await startScheduler(store);
  const { task } = await lateReport(world);
  const found = (await world.client.getTask({ deployment, task })).task;
  expect(found).toMatchObject({ staleReports: 2, recoveries: 1, attempts: 1 });
  expect(found?.wastedRunTime && durationMs(found.wastedRunTime)).toBe(4_500);
  const sessions = createSessionStore(store.store, () => store.nowMs);
  await until("the agent's counter", async () => {
    const record = await sessions.load(deployment, "a1");
    return record?.staleReports === 2 ? true : undefined;
  });
  world.stop();
});

test("PROTOCOL-C3: each is a row of the audit, once, whatever schedulers bring it and when the audit is back", async () => {
  const notes = new Map<string, AuditNote>();
  let away = true;
  const appendAudit = async (appended: readonly AuditNote[]) => {
    if (away) throw new Error("away");
    for (const note of appended) notes.set(note.entry, note);
  };
  const one = await startScheduler(store, "scheduler-1", unwrapped, { appendAudit });
  const two = await startScheduler(store, "scheduler-2", unwrapped, { appendAudit });
  const { task } = await lateReport(one);
  await one.scheduler.slowOnce();
  expect(notes.size).toBe(0);
  away = false;
  await Promise.all([one.scheduler.slowOnce(), two.scheduler.slowOnce()]);
  await one.scheduler.slowOnce();
  expect([...notes.values()]).toMatchObject([
    { actor: `agent:${deployment}/a1`, action: "report", subject: `task:${task}`, result: "STALE" },
  ]);
  const [note] = notes.values();
  expect(JSON.parse(note?.detailJson ?? "{}")).toMatchObject({
    ranMs: 4_500,
    reason: "not_held",
  });
  one.stop();
  two.stop();
});

test("PROTOCOL-E1: calls that were kept during a cut and dropped are counted at their task and a row of the audit, once", async () => {
  const notes: AuditNote[] = [];
  const appendAudit = async (appended: readonly AuditNote[]) => void notes.push(...appended);
  const world = await startScheduler(store, "scheduler-1", unwrapped, { appendAudit });
  const { task, offer } = await lateReport(world, 3);
  await world.scheduler.slowOnce();
  expect((await world.client.getTask({ deployment, task })).task).toMatchObject({
    droppedCalls: 3,
  });
  const dropped = notes.filter(({ action }) => action === "kept_calls");
  expect(dropped).toMatchObject([
    { actor: `agent:${deployment}/a1`, subject: `task:${task}`, result: "DROPPED" },
  ]);
  const { epoch, number } = offer.attempt ?? {};
  expect(JSON.parse(dropped[0]?.detailJson ?? "{}")).toEqual({
    attempt: `${epoch}.${number}`,
    calls: 3,
  });
  world.stop();
});

test("PROTOCOL-E1: a result that is taken tells of dropped calls too; of an unknown task nothing is kept", async () => {
  const notes: AuditNote[] = [];
  const appendAudit = async (appended: readonly AuditNote[]) => void notes.push(...appended);
  const world = await startScheduler(store, "scheduler-1", unwrapped, { appendAudit });
  const agent = await world.agent("a1");
  const [task = ""] = await world.submit({});
  const offer = await agent.next("offer");
  agent.accept(offer);
  await agent.next("confirm");
  agent.report(offer, { kind: OutcomeKind.SUCCEEDED }, 2);
  expect((await agent.next("reportAnswer")).verdict).toBe(ReportVerdict.ACCEPTED);
  agent.report({ ...offer, task: "t_unknown" }, { kind: OutcomeKind.SUCCEEDED }, 2);
  expect((await agent.next("reportAnswer", 2)).verdict).toBe(ReportVerdict.UNKNOWN_TASK);
  await world.scheduler.slowOnce();
  expect(notes).toMatchObject([{ action: "kept_calls", subject: `task:${task}` }]);
  expect((await world.client.getTask({ deployment, task })).task).toMatchObject({
    droppedCalls: 2,
  });
  world.stop();
});
