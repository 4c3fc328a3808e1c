// SPDX-License-Identifier: Apache-2.0
// Remex under load as users run it: a control plane process, agents with their runners, gateway calls.

import { AgentHealth } from "@remex/proto/health/v1";
import { Redis } from "ioredis";
import { type AgentProcess, startAgent } from "../kit/agent-process.ts";
import { startControlPlane } from "../kit/control-plane.ts";
import { operatorOf } from "../kit/operator.ts";
import { waitFor } from "../kit/wait.ts";
import { socketOf } from "./bullmq-side.ts";
import { type Side, startProducer, type Work } from "./side.ts";

export const deployment = "load";
export const agentCount = 10;
const slotsPerAgent = 10;
const startTimeoutMs = 60_000;

/** Key of the counts that the task functions keep. */
export const countsKey = `rmx:{${deployment}}:counts`;

export async function startRemexSide(work: Work): Promise<Side> {
  const plane = await startControlPlane();
  const operator = operatorOf(plane, deployment);
  // The rounds count what has ended, so nothing of it may be removed meanwhile.
  await operator.createDeployment({ maxEndedTasks: 10_000_000 });
  const token = await operator.createToken("load");
  const agents: AgentProcess[] = [];
  for (let i = 0; i < agentCount; i++) {
    agents.push(
      await startAgent({
        target: plane.agentsTarget,
        token,
        name: `load-${i}`,
        args: ["--slots", String(slotsPerAgent), "--log-level", "warn"],
      }),
    );
  }
  await waitFor(
    async () => {
      const { agents: listed } = await operator.agents.listAgents({ deployment });
      return (
        listed.length === agentCount && listed.every(({ health }) => health === AgentHealth.HEALTHY)
      );
    },
    { what: "agents that take offers", timeoutMs: startTimeoutMs },
  );
  const socket = socketOf(plane.redis.url);
  const producer = await startProducer("./remex-producer.ts", {
    url: plane.url,
    keyFile: plane.adminKeyFile,
    socket,
    work,
  });
  const observer = new Redis(socket);
  return {
    name: "remex",
    parts: {
      controlPlane: plane.processes.map((each) => each.process().pid),
      agents: agents.map(({ program }) => program.pid),
      redis: [plane.redis.pid],
      producer: [producer.pid],
    },
    ended: async () => Number(await observer.hget(countsKey, "SUCCEEDED")),
    producer,
    stop: async () => {
      observer.disconnect();
      producer.stop();
      await Promise.all(agents.map((agent) => agent[Symbol.asyncDispose]()));
      await plane.stop();
    },
  };
}
