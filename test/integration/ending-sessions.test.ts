// SPDX-License-Identifier: Apache-2.0
// Real processes: what becomes of running work when its session ends for another reason than age (L8).
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AgentHealth } from "@remex/proto/health/v1";
import { AttemptStage, type Task, TaskState } from "@remex/proto/scheduler/v1";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startAgent } from "../kit/agent-process.ts";
import { type ControlPlane, startControlPlane, waitFor } from "../kit/index.ts";
import { operatorOf } from "../kit/operator.ts";

const deployment = "endings";
/** H = 2 s: SL is three of it. */
const limitMs = 6_000;
let plane: ControlPlane;
let operator: ReturnType<typeof operatorOf>;

beforeAll(async () => {
  plane = await startControlPlane();
  operator = operatorOf(plane, deployment);
  await operator.createDeployment({
    heartbeatInterval: { seconds: 2n },
    stopTime: { nanos: 500_000_000 },
  });
});
afterAll(() => plane?.stop());

const revoke = (token: string) =>
  operator.tokens.revokeAgentToken({ deployment, token: token.split("_")[1] ?? "" });
const agentOf = async (agent: string) =>
  (await operator.agents.getAgent({ deployment, agent })).agent;
const started = ({ attempt }: Task) => attempt?.stage === AttemptStage.STARTED;

async function running(seconds: number): Promise<string> {
  const argv = ["/bin/sleep", String(seconds)];
  const task = await operator.submit({ work: { case: "command", value: { argv } } });
  await operator.until(task, started, "the start");
  return task;
}

describe("a revoked token", () => {
  test("PROTOCOL-L8 SEC-T8: the same instance comes with a new token, and its running attempt is bound to the new session", async () => {
    const token = await operator.createToken("first");
    await using agent = await startAgent({ target: plane.agentsTarget, token, name: "stays" });
    const task = await running(12);
    const before = await agentOf("stays");
    const next = await operator.createToken("second");
    await writeFile(join(dirname(agent.stateDir), "token"), `${next}\n`, { mode: 0o600 });
    await revoke(token);
    await waitFor(
      async () => {
        const now = await agentOf("stays");
        const anew = now?.session?.number !== before?.session?.number;
        return anew && now?.health === AgentHealth.HEALTHY;
      },
      { what: "a new session" },
    );
    expect(await operator.untilEnded(task, 60_000)).toMatchObject({
      state: TaskState.SUCCEEDED,
      attempts: 1,
    });
  });

  test("PROTOCOL-L8: without a new one its work is dealt with SL after the last acknowledged beat, and not before", async () => {
    const token = await operator.createToken("third");
    await using _agent = await startAgent({ target: plane.agentsTarget, token, name: "goes" });
    const task = await running(60);
    const revokedAt = performance.now();
    await revoke(token);
    const queued = ({ state }: Task) => state === TaskState.QUEUED;
    expect(await operator.until(task, queued, "its place in the queue")).toMatchObject({
      ...{ attempts: 1, recoveries: 1 },
    });
    const tookMs = performance.now() - revokedAt;
    // The last beat was acknowledged at most one interval before.
    expect(tookMs).toBeGreaterThan(limitMs - 2_000 - 500);
    expect(await agentOf("goes")).toMatchObject({
      health: AgentHealth.FAILED,
      healthReason: "token_revoked",
    });
  });
});
