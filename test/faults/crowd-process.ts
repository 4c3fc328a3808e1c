// SPDX-License-Identifier: Apache-2.0
// Many agents in one process: the agent's own session over real streams, beside a runner that does nothing.

import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { AgentKind } from "@remex/proto/common/v1";
import { createLogger, createMetrics, createSystemClock } from "@remex/runtime";
import { grpcChannelFor } from "@remex/transport";
import { Agent } from "../../packages/agent/src/shell/agent.ts";
import { createAgentMetrics } from "../../packages/agent/src/shell/agent-metrics.ts";

interface Settings {
  readonly port: number;
  readonly tokenFile: string;
  readonly folder: string;
  readonly prefix: string;
  readonly count: number;
}

const settings = JSON.parse(process.argv[2] ?? "{}") as Settings;
const clock = createSystemClock();
const log = createLogger({ service: "crowd", level: "silent" });
const metrics = createAgentMetrics(createMetrics());
const token = readFileSync(settings.tokenFile, "utf8").trim();
const agents: Agent[] = [];

for (let i = 0; i < settings.count; i++) {
  const stateDir = join(settings.folder, `${settings.prefix}-${i}`);
  mkdirSync(stateDir, { recursive: true });
  const agent: Agent = new Agent({
    name: `${settings.prefix}-${i}`,
    kind: AgentKind.WORKER,
    queues: ["default"],
    labels: {},
    slots: 1,
    group: "",
    hostname: "crowd",
    instance: randomBytes(16),
    stateDir,
    channel: grpcChannelFor({ url: `http://127.0.0.1:${settings.port}` }),
    readToken: () => token,
    tellRunner: () => undefined,
    onUnreachable: () => undefined,
    onRunner: () => true,
    onOverthrown: () => undefined,
    onSession: () => undefined,
    onLeft: () => undefined,
    clock,
    log,
    metrics,
    random: Math.random,
  });
  agents.push(agent);
  await agent.start();
  agent.takeRunnerEvents([
    { hello: { contract: 1, runtimes: ["noop"], softwareVersion: "0.0.0" } },
    { ready: { ready: true } },
  ]);
}

process.on("message", () => {
  const statuses = agents.map((agent) => agent.status());
  process.send?.({
    connected: statuses.filter((each) => each.connected).length,
    leased: statuses.filter((each) => each.connected && each.leaseMs > 0).length,
  });
});
process.once("disconnect", () => process.exit(0));
process.send?.("ready");
