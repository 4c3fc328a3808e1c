// SPDX-License-Identifier: Apache-2.0
// The fixed answers that the tables are tested with.

import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Availability } from "@remex/proto/agent/v1";
import { AgentKind, OnCut, OutcomeKind, OutcomeReason, Role } from "@remex/proto/common/v1";
import { AgentHealth } from "@remex/proto/health/v1";
import { Maintenance } from "@remex/proto/registry/v1";
import { AttemptStage, TaskState } from "@remex/proto/scheduler/v1";
import type { StubAnswers } from "../../kit/stub-gateway.ts";

/** Half a unit beyond a whole one, so that a slow machine shows the same age. */
const ago = (ms: number) => timestampFromMs(Date.now() - ms);
const minutes = 60_000;
const hours = 60 * minutes;
const days = 24 * hours;

const deployment = () => ({
  deployment: "analytics",
  displayName: "Analytics",
  createdAt: ago(2.5 * days),
  revision: 3n,
  settings: {
    heartbeatInterval: durationFromMs(10_000),
    stopTime: durationFromMs(6_000),
    confirmWindow: durationFromMs(15_000),
    onCut: OnCut.CONTINUE,
    lostAfter: durationFromMs(0),
    brake: true,
    maxSlotCost: 1_000,
    maxPayloadBytes: 262_144,
    maxQueuedTasks: 1_000_000,
    taskRetention: durationFromMs(24 * hours),
    maxEndedTasks: 100_000,
    maxAgentTokens: 50,
    airflowApiUrl: "http://airflow:8080",
  },
});

const agents = () => [
  {
    deployment: "analytics",
    agent: "lab-1",
    kind: AgentKind.WORKER,
    capabilities: {
      queues: ["default", "gpu"],
      labels: { zone: "eu" },
      slots: 8,
      group: "lab",
      runtimes: ["command", "noop"],
      runtimeVersions: { node: "24.1.0" },
    },
    health: AgentHealth.HEALTHY,
    healthSince: ago(3.5 * hours),
    availability: Availability.SCHEDULABLE,
    session: { epoch: 1_794_000_000n, number: 7n },
    heartbeatAge: durationFromMs(4_200),
    slotsUsed: 2,
    softwareVersion: "0.1.0",
    // An agent may say anything; a terminal must not be steered by it (SEC-E2).
    hostname: "lab\u001b[2J\u202e",
    address: "10.0.0.7",
    registry: "registry-1",
    token: "AbCd1234",
    sessionSince: ago(3.5 * hours),
  },
  {
    deployment: "analytics",
    agent: "lab-2",
    kind: AgentKind.WORKER,
    capabilities: { queues: ["default"], slots: 4 },
    health: AgentHealth.FAILED,
    healthReason: "lease_expired",
    availability: Availability.SCHEDULABLE,
    heartbeatAge: durationFromMs(2.5 * hours),
    softwareVersion: "0.1.0",
    tasksHeld: 2,
    maintenance: Maintenance.ENDED,
    maintainedUntil: timestampFromMs(Date.UTC(2027, 4, 1)),
  },
  draining(),
];

const draining = () => ({
  deployment: "analytics",
  agent: "lab-3",
  kind: AgentKind.WORKER,
  capabilities: { queues: ["default"], slots: 4 },
  health: AgentHealth.SUSPECT,
  healthReason: "beats_missed",
  availability: Availability.DRAINING,
  availabilityNote: "upgrade\u001b[2J",
  drainRemaining: durationFromMs(4.5 * minutes),
  heartbeatAge: durationFromMs(35_000),
  slotsUsed: 3,
  softwareVersion: "0.2.0",
  tasksHeld: 3,
  maintenance: Maintenance.ENDING,
  maintainedUntil: timestampFromMs(Date.UTC(2027, 7, 1)),
});

const group = () => ({
  deployment: "analytics",
  group: "lab",
  cordoned: true,
  note: "move",
  onCut: OnCut.ABORT,
  lostAfter: durationFromMs(300_000),
  agents: 3,
});

const brake = () => ({
  engagedAt: ago(1.5 * minutes),
  base: 40,
  budgetPerSecond: 1,
  members: 31,
  ended: 2,
  suspects: 29,
  extendedBy: durationFromMs(600_000),
});

const tasks = () => [
  {
    deployment: "analytics",
    task: "t_running",
    idempotencyKey: "key-1",
    runtime: "command",
    state: TaskState.ASSIGNED,
    queuedAt: ago(3.5 * minutes),
    attempts: 1,
    spec: { queue: "gpu" },
    attempt: { stage: AttemptStage.CONFIRMED, agent: "lab-1" },
  },
  {
    deployment: "analytics",
    task: "t_failed",
    idempotencyKey: "key-2",
    runtime: "command",
    state: TaskState.FAILED,
    queuedAt: ago(2.5 * hours),
    endedAt: ago(2.4 * hours),
    attempts: 2,
    droppedCalls: 3,
    spec: {
      queue: "default",
      slotCost: 2,
      maxRetries: 1,
      timeout: durationFromMs(5_400_000),
      requiredLabels: { zone: "eu" },
      work: {
        case: "command" as const,
        value: { argv: ["sh", "-c", "echo 'it' && exit 2"], env: { MODE: "x" }, cwd: "/srv" },
      },
    },
    retries: 1,
    attempt: {
      attempt: { epoch: 1_794_000_000n, number: 9n },
      stage: AttemptStage.ENDED,
      agent: "lab-1",
      startedAt: ago(2.4 * hours),
      endedAt: ago(2.4 * hours),
      outcome: {
        kind: OutcomeKind.FAILED,
        reason: OutcomeReason.EXIT_CODE,
        exitCode: 2,
        message: "no space\u001b]0;pwned\u0007 left",
        runTime: durationFromMs(92_000),
      },
    },
  },
  {
    deployment: "analytics",
    task: "t_queued",
    runtime: "noop",
    state: TaskState.QUEUED,
    queuedAt: ago(12.5 * minutes),
    spec: {},
  },
];

export const fixedAnswers: StubAnswers = {
  deployments: {
    createDeployment: () => ({ deployment: deployment() }),
    getDeployment: () => ({ deployment: deployment() }),
    updateDeployment: () => ({ deployment: deployment() }),
    listDeployments: () => ({ deployments: [deployment()] }),
  },
  queues: {
    createQueue: ({ queue, description }) => ({
      queue: { queue, description, createdAt: ago(5.5 * minutes) },
    }),
    listQueues: () => ({
      queues: [
        { queue: "default", createdAt: ago(2.5 * days), queuedTasks: 12n, agents: 2 },
        { queue: "gpu", createdAt: ago(5.5 * hours), description: "big ones" },
      ],
    }),
    deleteQueue: () => ({}),
  },
  agents: {
    listAgents: () => ({ agents: agents() }),
    getAgent: ({ agent }) => ({ agent: agents().find((each) => each.agent === agent)! }),
    cordonAgent: () => ({ agent: { ...draining(), availability: Availability.CORDONED } }),
    uncordonAgent: () => ({}),
    drainAgent: () => ({ agent: draining() }),
    deleteAgent: ({ force }) => ({
      tasksGivenUp: force ? 3 : 0,
      nameFreeAt: timestampFromMs(Date.now() + days),
    }),
    restoreAgent: () => ({}),
    giveUpAgent: () => ({ tasksGivenUp: 1 }),
  },
  groups: {
    listGroups: () => ({ groups: [group(), { group: "default" }] }),
    cordonGroup: () => ({ group: group() }),
    uncordonGroup: () => ({ group: { ...group(), cordoned: false } }),
    updateGroup: () => ({ group: group() }),
  },
  brakes: {
    listBrakes: () => ({ brakes: [brake()] }),
    releaseBrake: () => ({ brakes: [{ ...brake(), released: true }] }),
    extendBrake: () => ({ brakes: [brake()] }),
  },
  tasks: {
    listTasks: () => ({ tasks: tasks() }),
    getTask: () => ({ task: tasks()[1]! }),
    explainTask: () => ({
      task: tasks()[2]!,
      explanations: [
        { code: "cordoned", text: "lab-1 is cordoned (disk): uncordon, or start another agent" },
        { code: "declined_cannot_run", text: "agent lab-1 handed it back 12 s ago: no\u001b[2J" },
      ],
    }),
    // The second page is empty.
    listTriggerEvents: ({ after }) => ({
      events: [1, 2].slice(Number(after)).map((number) => ({
        position: BigInt(number),
        attempt: { epoch: 1_794_000_000n, number: 9n },
        number: BigInt(number),
        agent: "lab-1",
        at: ago(2.5 * minutes),
        payload: Buffer.from(`{"firing":${number},"note":"a\u001b[2Jb"}`),
      })),
      total: 2n,
    }),
  },
  agentTokens: {
    createAgentToken: ({ name, expiry }) => ({
      token: {
        token: "AbCd1234",
        name,
        deployment: "analytics",
        ...(expiry.case === "neverExpires"
          ? {}
          : { expiresAt: timestampFromMs(Date.now() + (expiry.value ?? 0) * days) }),
      },
      value: "rmx_the-value",
    }),
    listAgentTokens: () => ({
      tokens: [
        {
          token: "AbCd1234",
          name: "lab",
          createdAt: ago(2.5 * days),
          expiresAt: timestampFromMs(Date.now() + 27.4 * days),
          lastUsedAt: ago(5.5 * minutes),
          kinds: [AgentKind.WORKER],
          queues: ["default", "gpu"],
        },
        { token: "ZZZZ0000", name: "old", createdAt: ago(40.5 * days), revokedAt: ago(days) },
      ],
    }),
    revokeAgentToken: () => ({
      token: {
        token: "AbCd1234",
        name: "lab",
        deployment: "analytics",
        revokedAt: ago(5.5 * minutes),
      },
    }),
  },
  operatorKeys: {
    createOperatorKey: ({ name, role, deployment: bound }) => ({
      key: { key: "KeyId123", name, role, deployment: bound },
      value: "rmk_the-value",
    }),
    listOperatorKeys: () => ({
      keys: [
        { key: "KeyId123", name: "airflow", role: Role.SUBMITTER, deployment: "analytics" },
        { key: "Admin000", name: "bootstrap", role: Role.ADMIN },
      ],
    }),
    revokeOperatorKey: () => ({ key: { key: "KeyId123", name: "airflow", role: Role.VIEWER } }),
  },
  status: {
    getStatus: () => ({
      softwareVersion: "0.1.0",
      epoch: 1_794_000_000n,
      problems: ["no health-monitor has a living record"],
      replicas: [
        {
          role: "registry",
          replica: "registry-1",
          address: "http://10.0.0.1:8702",
          recordAge: durationFromMs(1_200),
          softwareVersion: "0.1.0",
        },
      ],
    }),
  },
};
