// SPDX-License-Identifier: Apache-2.0
// Two Remex agents, every setting at its default, as a peer among the others.

import { AgentHealth } from "@remex/proto/health/v1";
import { fileURLToPath } from "node:url";
import { startWorld } from "../world.ts";
import type { Peer } from "./peer.ts";

const taskFile = fileURLToPath(new URL("../task.py", import.meta.url));
const lookEveryMs = 50;

export async function startRemexPeer(): Promise<Peer> {
  const world = await startWorld({ agents: 2, settings: {}, taskSeconds: () => 1 });
  let failedAtMs: number | undefined;
  const look = setInterval(() => {
    void world.operator.agents
      .listAgents({ deployment: "faults" })
      .then(({ agents }) => {
        if (agents.some(({ health }) => health === AgentHealth.FAILED)) failedAtMs ??= Date.now();
      })
      .catch(() => undefined);
  }, lookEveryMs);
  return {
    name: "remex",
    journals: world.journals,
    workers: () => world.agents.flatMap((agent) => agent.pids("agent")),
    failedAtMs: () => failedAtMs,
    submit: async (tasks, seconds) => {
      for (let i = 0; i < tasks; i++) {
        const argv = ["python3", "-S", "-E", taskFile, world.journals, String(seconds)];
        await world.operator.submit({ work: { case: "command", value: { argv } } });
      }
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(look);
      await world[Symbol.asyncDispose]();
    },
  };
}
