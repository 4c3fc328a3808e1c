// SPDX-License-Identifier: Apache-2.0
// One seed from its beginning to its end: harmed until it is healed, then watched until every task has ended.

import { createChecks } from "./checks/all.ts";
import { type Bench, type Cluster, closeCluster, createCluster } from "./cluster.ts";
import { Trace } from "./engine/trace.ts";
import { World } from "./engine/world.ts";
import { Faults } from "./faults.ts";
import { Observer, type Violation } from "./observe/observer.ts";
import type { PlannedTask } from "./parts/client-part.ts";
import { watchWork } from "./parts/task-program.ts";
import { deployment, limitsOf, planSeed, type SeedPlan } from "./plan.ts";

export interface SeedResult {
  readonly seed: number;
  readonly digest: string;
  readonly facts: number;
  readonly steps: number;
  readonly simulatedMs: number;
  readonly faults: number;
  readonly violations: readonly Violation[];
  readonly lines: readonly string[];
}

/** How much of a run is kept: its digest alone, its facts, or every event as well. */
export type TraceWish = "digest" | "facts" | "events";

/** What I14 allows beside the limits and the run time. */
const patienceMs = 60_000;
const pollMs = 500;
const slowPollMs = 2_000;

export async function runSeed(bench: Bench, seed: number, keep: TraceWish): Promise<SeedResult> {
  const plan = planSeed(seed);
  const world = new World(seed, new Trace(keep !== "digest", keep === "events"));
  const observer = new Observer(world, createChecks(), {
    agents: plan.cluster.agents,
    limitMs: limitsOf(plan).leastMs,
    leaseMs: 2 * plan.cluster.heartbeatMs,
    stopMs: plan.cluster.stopMs,
  });
  watchWork(world, observer);
  const cluster = await createCluster({
    ...{ world, bench, plan: plan.cluster },
    onRevoked: (token) => observer.revoked(token),
    onStoreCall: (call) => observer.storeCall(call),
    onOperator: (what, answer) => world.trace.add(world.nowMs, "operator", what, answer),
    client: {
      acknowledged: (task) => world.trace.add(world.nowMs, "client", "submitted", task),
      refused: (task, why) => world.trace.add(world.nowMs, "client", "refused", `${task} ${why}`),
      cancelAnswered: (task) => world.trace.add(world.nowMs, "client", "cancelled", task),
    },
  });
  try {
    await live(cluster, observer, plan);
  } finally {
    await closeCluster(cluster);
  }
  return {
    seed,
    digest: world.trace.digest(),
    facts: world.trace.count,
    steps: world.steps,
    simulatedMs: world.nowMs,
    faults: plan.faults.length,
    violations: [...observer.violations, ...crashesOf(world)],
    lines: world.trace.lines,
  };
}

async function live(cluster: Cluster, observer: Observer, plan: SeedPlan): Promise<void> {
  const { world, client } = cluster;
  const faults = new Faults({
    cluster,
    onFault: (what, target) => observer.fault(what, target),
    onStoreReset: async () => observer.storeReset(await cluster.redis.rows()),
  });
  cluster.startAll();
  faults.schedule(plan.faults);
  const submitted = new Map<string, PlannedTask>();
  for (const { atMs, task: planned, cancelAtMs } of plan.tasks) {
    world.after(atMs, undefined, "submit", () => {
      const task = client.submit(deployment, planned);
      submitted.set(task, planned);
      observer.known.planned.set(task, planned);
    });
    if (cancelAtMs === undefined) continue;
    world.after(cancelAtMs, undefined, "cancel", () => {
      for (const [task, { key }] of submitted) {
        if (key === planned.key) client.cancel(deployment, task);
      }
    });
  }
  const follower = followTasks(cluster, submitted);
  await world.run(plan.healAtMs);
  faults.heal();
  observer.note({ kind: "healed", atMs: world.nowMs });
  follower.healed();
  await world.run(deadlineOf(plan), () => follower.unfinished().length === 0);
  // What is left to be said is said: a late result must change nothing.
  if (follower.unfinished().length === 0) await world.run(world.nowMs + 1_000);
  observer.note({ kind: "over", atMs: world.nowMs, unfinished: follower.unfinished() });
}

/** When every task must have ended (I14). */
function deadlineOf(plan: SeedPlan): number {
  const { cluster, tasks, healAtMs } = plan;
  const slots = Math.max(...cluster.agents.map((agent) => agent.slots));
  const runMs = tasks.reduce((sum, { task }) => sum + task.runMs * (1 + task.maxRetries), 0);
  return healAtMs + 2 * limitsOf(plan).mostMs + cluster.lostAfterMs + patienceMs + runMs / slots;
}

interface TaskFollower {
  unfinished(): readonly string[];
  /** Everything is whole: from now on agents that have ended are started again at once. */
  healed(): void;
}

/**
 * Follows the tasks as an executor does: what the store has lost is submitted again. Once all is whole, an
 * agent that has ended is started again, as a service manager does.
 */
function followTasks(cluster: Cluster, submitted: ReadonlyMap<string, PlannedTask>): TaskFollower {
  const { world, client } = cluster;
  const ended = new Set<string>();
  let whole = false;
  const unfinished = (): string[] => [...submitted.keys()].filter((task) => !ended.has(task));
  const poll = (): void => {
    if (whole) for (const { name } of cluster.plan.agents) cluster.startAgent(name);
    const asked = unfinished();
    if (asked.length > 0) {
      client.states(deployment, asked, (states) => {
        for (const task of asked) {
          const planned = submitted.get(task);
          const state = states.get(task);
          if (state === "ended") ended.add(task);
          else if (state === undefined && planned !== undefined) client.submit(deployment, planned);
        }
      });
    }
    world.after(whole ? pollMs : slowPollMs, undefined, "poll", poll);
  };
  world.after(slowPollMs, undefined, "poll", poll);
  return {
    unfinished,
    healed: () => {
      whole = true;
    },
  };
}

function crashesOf(world: World): Violation[] {
  return world.crashes.map(({ process, error }) => ({
    rule: "crash",
    atMs: world.nowMs,
    what: `${process}: ${error instanceof Error ? error.stack : String(error)}`,
  }));
}
