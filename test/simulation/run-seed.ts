// SPDX-License-Identifier: Apache-2.0
// One seed from its beginning to its end.

import { type Bench, closeCluster, createCluster } from "./cluster.ts";
import { Trace } from "./engine/trace.ts";
import { World } from "./engine/world.ts";
import type { StoreCall } from "./parts/service-part.ts";
import { watchWork } from "./parts/task-program.ts";

export interface SeedResult {
  readonly seed: number;
  readonly digest: string;
  readonly facts: number;
  readonly steps: number;
  readonly simulatedMs: number;
  readonly violations: readonly string[];
  readonly lines: readonly string[];
}

export async function runSeed(bench: Bench, seed: number, keepTrace: boolean): Promise<SeedResult> {
  const trace = new Trace(keepTrace);
  const world = new World(seed, trace);
  watchWork(world, {
    began: (work) => trace.add(world.nowMs, work.host, "BEGAN", `${work.task} ${work.attempt}`),
    ended: (work, how) =>
      trace.add(world.nowMs, work.host, "ENDED", `${work.task} ${work.attempt} ${how}`),
  });
  const cluster = await createCluster({
    world,
    bench,
    plan: {
      deployment: "dep",
      heartbeatMs: 2_000,
      stopMs: 1_000,
      windowMs: 4_000,
      services: [
        { role: "registry", host: "registry-1" },
        { role: "scheduler", host: "scheduler-1" },
        { role: "health-monitor", host: "monitor-1" },
      ],
      agents: [
        { name: "agent-1", host: "machine-1", slots: 2, queues: ["default"], labels: {}, rate: 1 },
      ],
      network: { delayMs: [0.2, 2], spikeChance: 0.02, spikeMs: [5, 80] },
    },
    onStoreCall: (about, reply, from, atMs) => {
      const call = about as StoreCall;
      const parsed = call.parse(reply);
      if (call.name.startsWith("expire_")) return;
      trace.add(
        atMs,
        "redis",
        call.name,
        `${from} ${JSON.stringify(parsed, (_, v) => (typeof v === "bigint" ? String(v) : v))?.slice(0, 300)}`,
      );
    },
    client: {
      acknowledged: (task) => trace.add(world.nowMs, "client", "ACK", task),
      refused: (task, why) => trace.add(world.nowMs, "client", "REFUSED", `${task} ${why}`),
      cancelAnswered: (task, state) =>
        trace.add(world.nowMs, "client", "CANCEL", `${task} ${state}`),
    },
  });
  cluster.startAll();
  world.after(500, undefined, "submit", () => {
    cluster.client.submit("dep", {
      key: "k1",
      queue: "default",
      onCut: "CONTINUE",
      onLost: "REQUEUE",
      slotCost: 1,
      priority: 0,
      maxRetries: 0,
      requiredLabels: {},
      runMs: 3000,
      exitCode: 0,
      termMs: 10,
    });
  });
  try {
    await world.run(30_000);
  } finally {
    await closeCluster(cluster);
  }
  return {
    seed,
    digest: trace.digest(),
    facts: trace.count,
    steps: world.steps,
    simulatedMs: world.nowMs,
    violations: world.crashes.map(
      ({ process, error }) =>
        `crash in ${process}: ${error instanceof Error ? error.stack : String(error)}`,
    ),
    lines: trace.lines,
  };
}
