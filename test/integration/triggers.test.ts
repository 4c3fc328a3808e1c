// SPDX-License-Identifier: Apache-2.0
// Real control plane, real Redis, real triggerers and workers: built-in triggers, their events, and what becomes
// of them when their agent is killed or stands still.

import { writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { formatRef, refFromWire } from "@remex/domain";
import { AgentKind } from "@remex/proto/common/v1";
import { AgentHealth } from "@remex/proto/health/v1";
import { AttemptStage, type Task, TaskState } from "@remex/proto/scheduler/v1";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startAgent } from "../kit/agent-process.ts";
import { type ControlPlane, createTempDir, startControlPlane, waitFor } from "../kit/index.ts";
import { operatorOf } from "../kit/operator.ts";

const deployment = "triggers";
const heartbeatMs = 1_000;

function trigger(builtin: object) {
  return { work: { case: "trigger" as const, value: { builtin } } };
}
function timer(afterMs: number, everyMs?: number, times = 0) {
  const value = {
    after: durationFromMs(afterMs),
    ...(everyMs === undefined ? {} : { every: durationFromMs(everyMs) }),
    times,
  };
  return trigger({ trigger: { case: "timer" as const, value } });
}

describe("triggerers with the process runner", () => {
  let plane: ControlPlane;
  let operator: ReturnType<typeof operatorOf>;
  let token: string;
  beforeAll(async () => {
    plane = await startControlPlane();
    operator = operatorOf(plane, deployment);
    await operator.createDeployment({
      heartbeatInterval: durationFromMs(heartbeatMs),
      stopTime: durationFromMs(500),
      lostAfter: durationFromMs(300_000),
    });
    token = await operator.createToken("first");
  });
  afterAll(() => plane?.stop());

  const agent = (name: string, kind: string, ...args: string[]) =>
    startAgent({ target: plane.agentsTarget, token, name, args: ["--kind", kind, ...args] });
  const triggerer = (name: string) => agent(name, "triggerer", "--slots", "50");
  const agentOf = async (name: string) =>
    (await operator.agents.getAgent({ deployment, agent: name })).agent;
  const untilHealthy = (name: string) =>
    waitFor(
      async () =>
        (await agentOf(name).catch(() => undefined))?.health === AgentHealth.HEALTHY || undefined,
      { what: `${name} healthy` },
    );
  const eventsOf = async (task: string) =>
    (await operator.tasks.listTriggerEvents({ deployment, task, limit: 1_000 })).events;
  const started = ({ attempt }: Task) => attempt?.stage === AttemptStage.STARTED;

  /** No two events of a trigger are the same, and within an attempt none is missing (G3). */
  async function expectEachOnce(task: string): Promise<number> {
    const events = await eventsOf(task);
    const byAttempt = new Map<string, number[]>();
    for (const { attempt, number } of events) {
      const ref = refFromWire(attempt);
      const name = ref === undefined ? "" : formatRef(ref);
      byAttempt.set(name, [...(byAttempt.get(name) ?? []), Number(number)]);
    }
    for (const numbers of byAttempt.values()) {
      expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    }
    return byAttempt.size;
  }

  test("R1: a worker never gets a trigger and a triggerer never a command, each has its own agents", async () => {
    await using _worker = await agent("worker-1", "worker");
    await untilHealthy("worker-1");
    const waiting = await operator.submit(timer(20));
    const first = await operator.submit({ work: { case: "noop", value: {} } });
    await operator.untilEnded(first);
    await using _triggerer = await triggerer("triggerer-1");
    const command = { case: "command" as const, value: { argv: ["/bin/true"] } };
    const second = await operator.submit({ work: command });
    const ended = await Promise.all([waiting, second].map((task) => operator.untilEnded(task)));
    expect(ended.map(({ attempt, state }) => [attempt?.agent, TaskState[state]])).toEqual([
      ["triggerer-1", "SUCCEEDED"],
      ["worker-1", "SUCCEEDED"],
    ]);
    expect(ended.map(({ attempts }) => attempts)).toEqual([1, 1]);
    expect(await agentOf("triggerer-1")).toMatchObject({
      kind: AgentKind.TRIGGERER,
      capabilities: { runtimes: ["trigger_builtin"] },
    });
  });

  test("timer, http and file triggers emit their events and end, a canceled one is stopped", async () => {
    let answers = 0;
    const server: Server = createServer((request, response) => {
      answers += 1;
      const known = request.headers.authorization === "s3cret";
      response.writeHead(known ? 200 : 401).end(answers < 3 ? "starting" : "ready now");
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    await using folder = await createTempDir();
    await using _ = await triggerer("triggerer-2");
    const every = durationFromMs(50);
    try {
      const { port } = server.address() as AddressInfo;
      const ask = { url: `http://127.0.0.1:${port}/`, expectBody: "ready", every };
      const asked = trigger({ trigger: { case: "http", value: ask } });
      const secretPayload = Buffer.from('{"authorization":"s3cret"}');
      const path = join(folder.path, "done");
      const [rhythm, http, file, endless] = await Promise.all([
        operator.submit(timer(10, 20, 5)),
        operator.submit({ work: { ...asked.work, value: { ...asked.work.value, secretPayload } } }),
        operator.submit(trigger({ trigger: { case: "file", value: { path, every } } })),
        operator.submit(timer(10, 10)),
      ]);
      await operator.until(file, started, "the start of the file trigger");
      await writeFile(path, "abc");
      for (const task of [rhythm, http, file]) {
        expect(await operator.untilEnded(task)).toMatchObject({ state: TaskState.SUCCEEDED });
      }
      const payloads = async (task: string) =>
        (await eventsOf(task)).map(({ payload }) => JSON.parse(Buffer.from(payload).toString()));
      expect((await payloads(rhythm)).map(({ firing }) => firing)).toEqual([1, 2, 3, 4, 5]);
      expect(await payloads(http)).toMatchObject([{ status: 200, body: "ready now", polls: 3 }]);
      expect(await payloads(file)).toMatchObject([{ path, size: 3 }]);
      await waitFor(async () => (await eventsOf(endless)).length > 3 || undefined, {
        what: "events of the endless timer",
      });
      await operator.tasks.cancelTasks({ deployment, tasks: [endless] });
      expect(await operator.untilEnded(endless)).toMatchObject({ state: TaskState.CANCELED });
    } finally {
      server.close();
    }
  });

  test("R22: a triggerer without the control plane stops altogether, and goes on by a new assignment alone", async () => {
    let polledAtMs = performance.now();
    let status = 503;
    const server: Server = createServer((_request, response) => {
      polledAtMs = performance.now();
      response.writeHead(status).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    await using _ = await triggerer("triggerer-6");
    const [process] = plane.processes;
    try {
      const { port } = server.address() as AddressInfo;
      const ask = { url: `http://127.0.0.1:${port}/`, every: durationFromMs(20) };
      const task = await operator.submit(trigger({ trigger: { case: "http", value: ask } }));
      const before = await operator.until(task, started, "the start of the trigger");
      process?.process().signal("SIGSTOP");
      await waitFor(() => performance.now() - polledAtMs > 3 * heartbeatMs || undefined, {
        what: "the end of all polls",
        timeoutMs: 20 * heartbeatMs,
      });
      status = 200;
      process?.process().signal("SIGCONT");
      const after = await operator.untilEnded(task);
      expect(after).toMatchObject({ state: TaskState.SUCCEEDED, retries: 0 });
      expect(after.attempt?.attempt?.number).toBeGreaterThan(before.attempt?.attempt?.number ?? 0n);
      expect(await eventsOf(task)).toMatchObject([{ number: 1n }]);
    } finally {
      process?.process().signal("SIGCONT");
      server.close();
    }
  });

  test("PROTOCOL-O2: a triggerer told to end hands its triggers over at once, at no cost in retries, and leaves", async () => {
    const leaving = await triggerer("triggerer-7");
    await using _leaving = leaving;
    const endless = await operator.submit(timer(10, 50));
    await operator.until(endless, started, "the start of the timer");
    await using _heir = await triggerer("triggerer-8");
    await untilHealthy("triggerer-8");
    leaving.program.signal("SIGTERM");
    expect(await leaving.program.ended).toBe(0);
    const taken = await operator.until(
      endless,
      (task) => started(task) && task.attempt?.agent === "triggerer-8",
      "the takeover",
    );
    expect(taken).toMatchObject({ retries: 0, recoveries: 1 });
    await operator.tasks.cancelTasks({ deployment, tasks: [endless] });
    expect(await operator.untilEnded(endless)).toMatchObject({ state: TaskState.CANCELED });
    expect(await expectEachOnce(endless)).toBeGreaterThan(0);
  });

  test("R20 R22 PROTOCOL-G3: of two triggerers one is killed and one stands still: their triggers are taken over, each event is there once, every trigger ends", async () => {
    const doomed = await triggerer("triggerer-3");
    await using _doomed = doomed;
    await using frozen = await triggerer("triggerer-4");
    await Promise.all([untilHealthy("triggerer-3"), untilHealthy("triggerer-4")]);
    const tasks = await Promise.all(
      Array.from({ length: 30 }, () => operator.submit(timer(200, 400, 15))),
    );
    const running = await Promise.all(
      tasks.map((task) => operator.until(task, started, "the start")),
    );
    const agents = new Set(running.map(({ attempt }) => attempt?.agent));
    expect([...agents].sort()).toEqual(["triggerer-3", "triggerer-4"]);
    await waitFor(async () => (await eventsOf(tasks[0] ?? "")).length > 0 || undefined, {
      what: "the first event",
    });
    await using _heir = await triggerer("triggerer-5");
    await untilHealthy("triggerer-5");
    doomed.program.signal("SIGKILL");
    frozen.program.signal("SIGSTOP");
    const takenOver = performance.now();
    const ended = await Promise.all(tasks.map((task) => operator.untilEnded(task, 90_000)));
    frozen.program.signal("SIGCONT");
    expect(performance.now() - takenOver).toBeLessThan(60_000);
    for (const { state, retries, recoveries, attempt } of ended) {
      expect(state).toBe(TaskState.SUCCEEDED);
      expect(retries).toBe(0);
      expect(recoveries).toBeGreaterThan(0);
      expect(attempt?.agent).toBe("triggerer-5");
    }
    // Two attempts at least have spoken; the heir may lose its own lease on a machine that is busy.
    for (const task of tasks) expect(await expectEachOnce(task)).toBeGreaterThanOrEqual(2);
    // What the one that stood still says when it goes on again changes nothing (C5).
    const counts = await Promise.all(tasks.map(async (task) => (await eventsOf(task)).length));
    await untilHealthy("triggerer-4");
    const later = await operator.submit(timer(20));
    expect(await operator.untilEnded(later)).toMatchObject({ state: TaskState.SUCCEEDED });
    expect(await Promise.all(tasks.map(async (task) => (await eventsOf(task)).length))).toEqual(
      counts,
    );
  });
});
