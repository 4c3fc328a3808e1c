// SPDX-License-Identifier: Apache-2.0
// Real control plane, real Redis, real agents with the process runner: the normal life of tasks, and the
// loss of an agent.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OnLost, OutcomeKind, OutcomeReason } from "@remex/proto/common/v1";
import { AgentHealth } from "@remex/proto/health/v1";
import { AttemptStage, TaskState } from "@remex/proto/scheduler/v1";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startAgent } from "../kit/agent-process.ts";
import { type ControlPlane, startControlPlane, waitFor } from "../kit/index.ts";
import { operatorOf } from "../kit/operator.ts";

const deployment = "factory";
const command = (...argv: string[]) => ({ case: "command", value: { argv } }) as const;

describe("an agent with the process runner", () => {
  let plane: ControlPlane;
  let operator: ReturnType<typeof operatorOf>;
  let token: string;

  beforeAll(async () => {
    plane = await startControlPlane();
    operator = operatorOf(plane, deployment);
    await operator.createDeployment({
      heartbeatInterval: { seconds: 1n },
      stopTime: { nanos: 500_000_000 },
    });
    token = await operator.createToken("first");
  });
  afterAll(() => plane?.stop());

  const agent = (name: string, ...args: string[]) =>
    startAgent({ target: plane.agentsTarget, token, name, args });
  const healthOf = async (name: string) =>
    (await operator.agents.getAgent({ deployment, agent: name })).agent?.health;

  test("R2 R17: runs a command to its end and reports its exit code", async () => {
    await using _ = await agent("one");
    const good = await operator.submit({
      work: command("/bin/sh", "-c", "echo out; echo err >&2"),
    });
    const bad = await operator.submit({ work: command("/bin/sh", "-c", "exit 7") });
    const missing = await operator.submit({ work: command("/no/such/program") });
    expect(await operator.untilEnded(good)).toMatchObject({
      state: TaskState.SUCCEEDED,
      attempt: { agent: "one", stage: AttemptStage.ENDED, outcome: { exitCode: 0 } },
    });
    expect(await operator.untilEnded(bad)).toMatchObject({
      state: TaskState.FAILED,
      attempt: { outcome: { reason: OutcomeReason.EXIT_CODE, exitCode: 7 } },
    });
    expect(await operator.untilEnded(missing)).toMatchObject({
      state: TaskState.FAILED,
      attempt: { outcome: { reason: OutcomeReason.START_FAILED } },
    });
    const chunks: string[] = [];
    for await (const part of operator.agents.readTaskLog({ deployment, task: good })) {
      chunks.push(Buffer.from(part.data).toString());
    }
    expect(chunks.join("")).toBe("out\nerr\n");
  });

  test("SEC-E5: a task's environment has its attempt and nothing of the agent's", async () => {
    await using _ = await agent("two");
    const task = await operator.submit({
      work: { case: "command", value: { argv: ["/usr/bin/env"], env: { MINE: "yes" } } },
    });
    await operator.untilEnded(task);
    let text = "";
    for await (const part of operator.agents.readTaskLog({ deployment, task })) {
      text += Buffer.from(part.data).toString();
    }
    expect(text).toContain("MINE=yes");
    expect(text).toMatch(/REMEX_ATTEMPT=\d+\.\d+/);
    expect(text).not.toContain(token);
    expect(text).not.toContain("REMEX_AGENT_TOKEN");
  });

  test("PROTOCOL-T6 PROTOCOL-G1: after kill -9 a restarted agent is back at once, and what ran is reported as aborted", async () => {
    // Half a minute until a lease runs out: what is there before came by the takeover.
    const patient = operatorOf(plane, "patient");
    await patient.createDeployment({ heartbeatInterval: { seconds: 20n } });
    const start = { target: plane.agentsTarget, token: await patient.createToken("own") };
    const home = mkdtempSync(join(tmpdir(), "remex-test-"));
    const phoenix = () =>
      startAgent({ ...start, name: "phoenix", args: ["--state-dir", join(home, "state")] });
    try {
      await using before = await phoenix();
      const task = await patient.submit({
        work: command("/bin/sh", "-c", "setsid sleep 600"),
        onLost: OnLost.FAIL,
      });
      await patient.until(
        task,
        ({ attempt }) => attempt?.stage === AttemptStage.STARTED,
        "the start",
      );
      before.program.signal("SIGKILL");
      await before.program.ended;
      await using _ = await phoenix();
      const ended = await patient.untilEnded(task);
      expect(ended.attempt?.outcome).toMatchObject({
        kind: OutcomeKind.ABORTED,
        reason: OutcomeReason.RUNNER_LOST,
      });
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });

  test("PROTOCOL-C4: a running task is canceled, a queued one at once", async () => {
    const queued = await operator.submit({ work: command("/bin/true") });
    const canceled = await operator.tasks.cancelTasks({ deployment, tasks: [queued] });
    expect(canceled.results[0]).toMatchObject({ state: TaskState.CANCELED });
    await using _ = await agent("three");
    const running = await operator.submit({ work: command("/bin/sleep", "60") });
    await operator.until(
      running,
      ({ attempt }) => attempt?.stage === AttemptStage.STARTED,
      "the start",
    );
    await operator.tasks.cancelTasks({ deployment, tasks: [running] });
    expect(await operator.untilEnded(running)).toMatchObject({
      state: TaskState.CANCELED,
      attempt: { outcome: { kind: OutcomeKind.CANCELED } },
    });
  });

  test("a task that outlives its timeout fails with that reason, and one with retries is tried again", async () => {
    await using _ = await agent("four");
    const slow = await operator.submit({
      work: command("/bin/sleep", "60"),
      timeout: { nanos: 300_000_000 },
    });
    const again = await operator.submit({ work: command("/bin/false"), maxRetries: 2 });
    expect(await operator.untilEnded(slow)).toMatchObject({
      state: TaskState.FAILED,
      attempt: { outcome: { reason: OutcomeReason.TIMEOUT } },
    });
    expect(await operator.untilEnded(again)).toMatchObject({
      state: TaskState.FAILED,
      attempts: 3,
      retries: 2,
    });
  });

  test("R3: work on a queue goes only to agents that listen on it", async () => {
    await operator.queues.createQueue({ deployment, queue: "gpu" });
    await using _ = await agent("five");
    const gpu = await operator.submit({ queue: "gpu", work: { case: "noop", value: {} } });
    const plain = await operator.submit({ work: { case: "noop", value: {} } });
    await operator.untilEnded(plain);
    expect((await operator.tasks.getTask({ deployment, task: gpu })).task).toMatchObject({
      state: TaskState.QUEUED,
      attempts: 0,
    });
    await using _gpu = await agent("five-gpu", "--queues", "gpu");
    expect(await operator.untilEnded(gpu)).toMatchObject({ attempt: { agent: "five-gpu" } });
  });

  test("R18 R19 H2: a killed agent fails, and its work runs elsewhere or fails as the task says", async () => {
    await using first = await agent("six");
    await waitFor(async () => (await healthOf("six")) === AgentHealth.HEALTHY, {
      what: "six healthy",
    });
    const requeue = await operator.submit({
      work: command("/bin/sleep", "1"),
      onLost: OnLost.REQUEUE,
    });
    const fail = await operator.submit({ work: command("/bin/sleep", "60"), onLost: OnLost.FAIL });
    for (const task of [requeue, fail]) {
      await operator.until(
        task,
        ({ attempt }) => attempt?.stage === AttemptStage.STARTED,
        "the start",
      );
    }
    first.program.signal("SIGKILL");
    await using _ = await agent("seven");
    expect(await operator.untilEnded(requeue)).toMatchObject({ state: TaskState.SUCCEEDED });
    expect(await operator.untilEnded(fail)).toMatchObject({
      state: TaskState.FAILED,
      reason: "agent_lost",
    });
    expect(await healthOf("six")).toBe(AgentHealth.FAILED);
  });

  test("R11 O2: SIGTERM ends the agent after its last task, and it has left", async () => {
    await using leaving = await agent("eight");
    const task = await operator.submit({ work: command("/bin/sleep", "1") });
    await operator.until(
      task,
      ({ attempt }) => attempt?.stage === AttemptStage.STARTED,
      "the start",
    );
    leaving.program.signal("SIGTERM");
    expect(await operator.untilEnded(task)).toMatchObject({ state: TaskState.SUCCEEDED });
    expect(await leaving.program.ended).toBe(0);
    expect(await healthOf("eight")).toBe(AgentHealth.LEFT);
    expect(readFileSync(`${leaving.stateDir}/journal`, "utf8")).not.toContain(token);
  });
});
