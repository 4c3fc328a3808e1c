// SPDX-License-Identifier: Apache-2.0
// Real processes, every role apart: operators cordon, drain, delete and restore agents (O1-O3).
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { lostAfterNeverMs } from "@remex/domain";
import { Availability } from "@remex/proto/agent/v1";
import { OutcomeReason } from "@remex/proto/common/v1";
import { AuditService } from "@remex/proto/gateway/v1";
import { AgentHealth } from "@remex/proto/health/v1";
import { AttemptStage, type Task, TaskState } from "@remex/proto/scheduler/v1";
import { failureFromConnect } from "@remex/transport";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startAgent } from "../kit/agent-process.ts";
import { type ControlPlane, rolesApart, startControlPlane, waitFor } from "../kit/index.ts";
import { operatorOf } from "../kit/operator.ts";

const deployment = "managed";
/** H = 2 s: SL, and the quarantine after a wipe, are three of it. */
const settings = {
  heartbeatInterval: durationFromMs(2_000),
  stopTime: durationFromMs(500),
  lostAfter: durationFromMs(lostAfterNeverMs),
};
/** Restarts of every role, and a quarantine, on a machine that is busy with other things. */
const patientMs = 120_000;

let plane: ControlPlane;
let operator: ReturnType<typeof operatorOf>;
let token: string;
beforeAll(async () => {
  plane = await startControlPlane(rolesApart);
  operator = operatorOf(plane, deployment);
  await operator.createDeployment(settings);
  token = await operator.createToken("first");
});
afterAll(() => plane?.stop());

const start = (name: string, ...args: string[]) =>
  startAgent({ target: plane.agentsTarget, token, name, args });
const agentOf = async (agent: string) =>
  (await operator.agents.getAgent({ deployment, agent })).agent;
const untilAgent = (
  name: string,
  what: string,
  fits: (agent: NonNullable<Awaited<ReturnType<typeof agentOf>>>) => boolean,
) =>
  waitFor(
    async () => {
      const agent = await agentOf(name);
      return agent !== undefined && fits(agent) ? agent : undefined;
    },
    { what: `${what} of ${name}`, timeoutMs: patientMs },
  );
const untilHealthy = (name: string) =>
  untilAgent(name, "good health", ({ health }) => health === AgentHealth.HEALTHY);
/** Each test has a queue of its own, so that its agents get its tasks alone. */
const createQueue = (queue: string) => operator.queues.createQueue({ deployment, queue });
const submitSleep = (queue: string, seconds: number) => {
  const argv = ["/bin/sleep", String(seconds)];
  return operator.submit({ queue, work: { case: "command", value: { argv } } });
};
const started = ({ attempt }: Task) => attempt?.stage === AttemptStage.STARTED;
const untilStarted = (task: string) => operator.until(task, started, "the start", patientMs);
const startedOn = (agent: string) => (task: Task) => started(task) && task.attempt?.agent === agent;
const taskOf = async (task: string) => (await operator.tasks.getTask({ deployment, task })).task;
const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "ok",
    (error: unknown) => failureFromConnect(error).code,
  );

async function restartAll(): Promise<void> {
  await Promise.all(plane.processes.map((each) => each.process().stop()));
  await Promise.all(plane.processes.map((each) => each.restart()));
}

async function wipe(): Promise<void> {
  const redis = new Redis(plane.redis.url.slice("unix://".length));
  await redis.flushall();
  redis.disconnect();
}

describe("cordon", () => {
  test("R25 PROTOCOL-O1 I15: what runs ends well, nothing new starts, over restarts of agent and every service and a wipe of Redis", async () => {
    await createQueue("cordon");
    const args = ["--queues", "cordon"];
    const first = await start("keeps", ...args);
    try {
      await untilHealthy("keeps");
      const running = await submitSleep("cordon", 3);
      await untilStarted(running);
      const note = "disk is full";
      const { agent } = await operator.agents.cordonAgent({ deployment, agent: "keeps", note });
      expect(agent).toMatchObject({
        ...{ availability: Availability.CORDONED, availabilityNote: note, tasksHeld: 1 },
      });
      expect(await operator.untilEnded(running)).toMatchObject({ state: TaskState.SUCCEEDED });
    } finally {
      await first[Symbol.asyncDispose]();
    }
    await using _second = await start("keeps", ...args);
    await untilHealthy("keeps");
    expect(await agentOf("keeps")).toMatchObject({ availability: Availability.CORDONED });
    await restartAll();
    await wipe();
    // The agent comes back into an empty store, and the record is there before it.
    const back = await untilHealthy("keeps");
    expect(back.availability).toBe(Availability.CORDONED);
    // Another agent of the queue gets the work that this one must not have.
    const waits = await submitSleep("cordon", 0);
    await using _other = await start("takes", ...args);
    expect(await operator.untilEnded(waits, patientMs)).toMatchObject({
      ...{ state: TaskState.SUCCEEDED, attempts: 1, attempt: { agent: "takes" } },
    });
    await operator.agents.cordonAgent({ deployment, agent: "takes" });
    const later = await submitSleep("cordon", 0);
    await operator.agents.uncordonAgent({ deployment, agent: "keeps" });
    expect(await operator.untilEnded(later, patientMs)).toMatchObject({
      ...{ state: TaskState.SUCCEEDED, attempt: { agent: "keeps" } },
    });
  });

  test("PROTOCOL-O1: a group's cordon covers agents that come later, and is taken back as one", async () => {
    await createQueue("west");
    const args = ["--queues", "west", "--group", "west"];
    await using _first = await start("west-1", ...args);
    await untilHealthy("west-1");
    await operator.groups.cordonGroup({ deployment, group: "west", note: "move" });
    await using _second = await start("west-2", ...args);
    await untilHealthy("west-2");
    for (const name of ["west-1", "west-2"]) {
      expect(await agentOf(name)).toMatchObject({
        ...{ availability: Availability.CORDONED, availabilityNote: "move" },
      });
    }
    const task = await submitSleep("west", 0);
    const { groups } = await operator.groups.listGroups({ deployment });
    expect(groups.find(({ group }) => group === "west")).toMatchObject({
      ...{ cordoned: true, agents: 2 },
    });
    expect(await taskOf(task)).toMatchObject({ state: TaskState.QUEUED, attempts: 0 });
    await operator.groups.uncordonGroup({ deployment, group: "west" });
    expect(await operator.untilEnded(task)).toMatchObject({ state: TaskState.SUCCEEDED });
  });
});

describe("drain", () => {
  test("PROTOCOL-O2: what runs at the deadline is ABORTED as drained, costs no retry and runs elsewhere; the agent stays", async () => {
    await createQueue("drain");
    const args = ["--queues", "drain"];
    await using _agent = await start("empties", ...args);
    await untilHealthy("empties");
    const short = await submitSleep("drain", 1);
    const long = await submitSleep("drain", 600);
    await untilStarted(long);
    const { agent } = await operator.agents.drainAgent({
      ...{ deployment, agent: "empties", note: "upgrade", deadline: durationFromMs(4_000) },
    });
    expect(agent).toMatchObject({ availability: Availability.DRAINING });
    expect(agent?.drainRemaining).toBeDefined();
    expect(await operator.untilEnded(short)).toMatchObject({ state: TaskState.SUCCEEDED });
    const queued = ({ state }: Task) => state === TaskState.QUEUED;
    expect(await operator.until(long, queued, "its place in the queue")).toMatchObject({
      ...{ attempts: 1, retries: 0 },
      attempt: { stage: AttemptStage.ENDED, outcome: { reason: OutcomeReason.DRAINED } },
    });
    const empty = await untilAgent("empties", "emptiness", ({ tasksHeld }) => tasksHeld === 0);
    expect(empty).toMatchObject({
      ...{ availability: Availability.DRAINING, health: AgentHealth.HEALTHY },
    });
    await using _other = await start("refuge", ...args);
    await operator.until(long, startedOn("refuge"), "a start elsewhere", patientMs);
    await operator.tasks.cancelTasks({ deployment, tasks: [long] });
  });
});

describe("delete", () => {
  test("PROTOCOL-O3 R26: refused while work runs; forced, the work is killed and runs elsewhere; the name is refused until it is restored", async () => {
    await createQueue("delete");
    const args = ["--queues", "delete"];
    await using doomed = await start("doomed", ...args);
    await untilHealthy("doomed");
    const task = await submitSleep("delete", 600);
    await untilStarted(task);
    const remove = (force: boolean) =>
      operator.agents.deleteAgent({ deployment, agent: "doomed", force });
    expect(await codeOf(remove(false))).toBe("agent_busy");
    // The refusal leaves the agent as it was.
    expect(await agentOf("doomed")).toMatchObject({ availability: Availability.SCHEDULABLE });
    expect(await remove(true)).toMatchObject({ tasksGivenUp: 1 });
    await doomed.program.waitForOutput(/agent was deleted by an operator/);
    await using _other = await start("heir", ...args);
    const moved = await operator.until(task, startedOn("heir"), "a start elsewhere", patientMs);
    expect(moved).toMatchObject({ attempts: 2, recoveries: 1 });
    await waitFor(async () => (await codeOf(agentOf("doomed"))) === "agent_unknown", {
      what: "the agent's absence",
    });
    expect(await codeOf(remove(true))).toBe("ok");
    // Its process asks again and is told what to do; so is a new one under its name.
    await doomed.program.waitForOutput(/this process is not let in again/);
    const again = await start("doomed", ...args);
    await again.program.waitForOutput(/remex agents restore doomed/);
    await again[Symbol.asyncDispose]();
    await operator.agents.restoreAgent({ deployment, agent: "doomed" });
    await using _restored = await start("doomed", ...args);
    expect(await untilHealthy("doomed")).toMatchObject({
      availability: Availability.SCHEDULABLE,
    });
    await operator.tasks.cancelTasks({ deployment, tasks: [task] });
  });

  test("PROTOCOL-O3 H1: an absent agent's held work goes elsewhere on the operator's word alone", async () => {
    await createQueue("gone");
    const args = ["--queues", "gone"];
    await using lost = await start("lost", ...args);
    await untilHealthy("lost");
    const task = await submitSleep("gone", 600);
    await untilStarted(task);
    expect(await codeOf(operator.agents.giveUpAgent({ deployment, agent: "lost" }))).toBe(
      "agent_not_gone",
    );
    lost.program.signal("SIGKILL");
    const held = ({ state }: Task) => state === TaskState.HELD;
    await operator.until(task, held, "held work", patientMs);
    expect(await agentOf("lost")).toMatchObject({ health: AgentHealth.FAILED, tasksHeld: 1 });
    expect(await codeOf(operator.agents.deleteAgent({ deployment, agent: "lost" }))).toBe(
      "agent_work_held",
    );
    expect(await operator.agents.giveUpAgent({ deployment, agent: "lost" })).toMatchObject({
      tasksGivenUp: 1,
    });
    await using _other = await start("heir-2", ...args);
    await operator.until(task, startedOn("heir-2"), "a start elsewhere", patientMs);
    await operator.tasks.cancelTasks({ deployment, tasks: [task] });
    // With nothing left it can be deleted without a word.
    expect(await codeOf(operator.agents.deleteAgent({ deployment, agent: "lost" }))).toBe("ok");
  });

  test("R26: every step is in the audit, with the agent's name", async () => {
    const audit = createClient(AuditService, operator.transport);
    const { entries } = await audit.listAuditEntries({ deployment, pageSize: 1_000 });
    const said = entries.map(({ action, subject, result }) => {
      return `${action.split("/")[1]} ${subject} ${result}`;
    });
    expect(said).toEqual(
      expect.arrayContaining([
        "CordonAgent agent:keeps ok",
        "UncordonAgent agent:keeps ok",
        "CordonGroup group:west ok",
        "DrainAgent agent:empties ok",
        "DeleteAgent agent:doomed agent_busy",
        "DeleteAgent agent:doomed ok",
        "RestoreAgent agent:doomed ok",
        "GiveUpAgent agent:lost agent_not_gone",
        "GiveUpAgent agent:lost ok",
      ]),
    );
  });
});
