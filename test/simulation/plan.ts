// SPDX-License-Identifier: Apache-2.0
// What a seed stands for: the installation, its tasks, and when what is harmed. Pure.

import type { ClusterPlan, ServicePlace } from "./cluster.ts";
import { createRng, type Rng } from "./engine/random.ts";
import { type FaultPlan, intervalsMs, planFaults } from "./fault-plan.ts";
import type { PlannedTask } from "./parts/client-part.ts";

export interface SeedPlan {
  readonly cluster: ClusterPlan;
  readonly tasks: readonly {
    readonly atMs: number;
    readonly task: PlannedTask;
    readonly cancelAtMs: number | undefined;
  }[];
  readonly faults: readonly FaultPlan[];
  /** When everything is made whole again. */
  readonly healAtMs: number;
}

export const deployment = "dep";

/** Ages at which a session ends, three intervals: the least and the greatest of a seed. */
export function limitsOf({ cluster, faults }: SeedPlan): {
  readonly leastMs: number;
  readonly mostMs: number;
} {
  const changed = faults.flatMap(({ kind, amount }) => (kind === "changeInterval" ? [amount] : []));
  const limits = [cluster.heartbeatMs, ...changed].map((heartbeatMs) => 3 * heartbeatMs);
  return { leastMs: Math.min(...limits), mostMs: Math.max(...limits) };
}

export function planSeed(seed: number): SeedPlan {
  const rng = createRng(seed, "plan");
  const cluster = planCluster(rng.fork("cluster"));
  const healAtMs = rng.int(16, 26) * 1_000;
  return {
    cluster,
    tasks: planTasks(rng.fork("tasks"), cluster),
    faults: planFaults(rng.fork("faults"), cluster, healAtMs),
    healAtMs,
  };
}

function planCluster(rng: Rng): ClusterPlan {
  const heartbeatMs = rng.pick(intervalsMs);
  const replicas = (role: ServicePlace["role"], name: string): ServicePlace[] => {
    const count = rng.chance(0.75) ? 2 : 1;
    return Array.from({ length: count }, (_, at) => ({ role, host: `${name}-${at + 1}` }));
  };
  const agents = Array.from({ length: rng.int(1, 3) }, (_, at) => ({
    name: `agent-${at + 1}`,
    host: `machine-${at + 1}`,
    slots: rng.int(1, 3),
    queues: ["default"],
    labels: {},
    rate: rng.between(0.97, 1.03),
    sidecar: rng.chance(0.4),
  }));
  return {
    deployment,
    heartbeatMs,
    stopMs: rng.pick([500, 800]),
    windowMs: rng.pick([1_000, 2 * heartbeatMs]),
    lostAfterMs: rng.pick([0, 0, 4_000, 12_000]),
    services: [
      ...replicas("registry", "registry"),
      ...replicas("scheduler", "scheduler"),
      ...replicas("health-monitor", "monitor"),
    ],
    agents,
    network: {
      delayMs: [0.2, rng.pick([1, 3, 10])],
      spikeChance: 0.02,
      spikeMs: [5, rng.pick([50, 400])],
    },
  };
}

function planTasks(rng: Rng, cluster: ClusterPlan): SeedPlan["tasks"] {
  const mostSlots = Math.max(...cluster.agents.map(({ slots }) => slots));
  // Some have a stream of short tasks, so that something is being offered at any moment.
  const busy = rng.chance(0.25);
  return Array.from({ length: busy ? rng.int(20, 30) : rng.int(3, 9) }, (_, at) => {
    const atMs = rng.int(500, 15_000);
    const task: PlannedTask = {
      key: `task-${at}`,
      queue: "default",
      onCut: rng.pick(["CONTINUE", "ABORT"]),
      onLost: rng.pick(["REQUEUE", "REQUEUE", "FAIL"]),
      slotCost: rng.chance(0.2) ? Math.min(2, mostSlots) : 1,
      priority: rng.int(0, 2),
      maxRetries: rng.pick([0, 0, 1]),
      maxRecoveries: rng.pick([3, 3, 1, 0]),
      requiredLabels: {},
      runMs: busy
        ? rng.int(20, 600)
        : rng.pick([
            rng.int(50, 400),
            rng.int(400, 3_000),
            rng.int(3_000, 12_000),
            rng.int(8_000, 24_000),
          ]),
      exitCode: rng.chance(0.15) ? 1 : 0,
      termMs: rng.pick([5, 5, 200, -1]),
    };
    const cancelAtMs = rng.chance(0.12) ? atMs + rng.int(50, 6_000) : undefined;
    return { atMs, task, cancelAtMs };
  });
}
