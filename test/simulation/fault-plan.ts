// SPDX-License-Identifier: Apache-2.0
// Which faults a seed has, to what, when and for how long. Pure; faults.ts carries them out.

import type { ClusterPlan } from "./cluster.ts";
import type { Rng } from "./engine/random.ts";

export type FaultKind =
  | "killService"
  | "pauseService"
  | "killAgent"
  | "killRunner"
  | "pauseAgent"
  | "pauseRunner"
  | "pauseMachine"
  | "crashMachine"
  | "cutOneWay"
  | "cutBoth"
  | "isolate"
  | "breakConnections"
  | "slowNetwork"
  | "slowRedis"
  | "restartRedis"
  | "pauseRedis"
  | "loseWrites"
  | "wipeRedis"
  | "stepRedisClock"
  | "stepWallClock"
  | "revokeToken"
  | "drainAgent"
  | "cordonAgent"
  | "drainByOperator"
  | "deleteAgent"
  | "changeInterval";

export interface FaultPlan {
  readonly kind: FaultKind;
  readonly atMs: number;
  readonly forMs: number;
  /** A host or an agent, as the kind needs it. */
  readonly target: string;
  /** The far side of a cut. */
  readonly other: string;
  /** How much: commands that are lost, milliseconds that are added. */
  readonly amount: number;
}

/** How often each is chosen, beside the others. */
const weights: Readonly<Record<FaultKind, number>> = {
  killService: 10,
  pauseService: 6,
  killAgent: 6,
  killRunner: 4,
  pauseAgent: 5,
  pauseRunner: 3,
  pauseMachine: 4,
  crashMachine: 2,
  cutOneWay: 10,
  cutBoth: 8,
  isolate: 12,
  breakConnections: 8,
  slowNetwork: 4,
  slowRedis: 3,
  restartRedis: 4,
  pauseRedis: 2,
  loseWrites: 7,
  wipeRedis: 5,
  stepRedisClock: 2,
  stepWallClock: 2,
  revokeToken: 5,
  drainAgent: 3,
  cordonAgent: 4,
  drainByOperator: 2,
  deleteAgent: 2,
  changeInterval: 3,
};

/** Heartbeat intervals that a deployment may have in the course of a seed. */
export const intervalsMs = [1_600, 2_000, 2_400] as const;

export function planFaults(rng: Rng, cluster: ClusterPlan, healAtMs: number): FaultPlan[] {
  const count = rng.chance(0.08) ? 0 : rng.int(1, 7);
  return Array.from({ length: count }, () => planFault(rng, cluster, healAtMs)).sort(
    (a, b) => a.atMs - b.atMs,
  );
}

function planFault(rng: Rng, cluster: ClusterPlan, healAtMs: number): FaultPlan {
  const kind = pickWeighted(rng);
  const limitMs = 3 * cluster.heartbeatMs;
  const atMs = rng.int(1_500, healAtMs - 2_000);
  // Around the limits of the protocol more often than anywhere else.
  const forMs = rng.pick([
    rng.int(20, 800),
    rng.int(800, cluster.heartbeatMs * 2),
    rng.int(cluster.heartbeatMs * 2, limitMs + 500),
    rng.int(limitMs, 2 * limitMs),
  ]);
  const services = cluster.services.map(({ host }) => host);
  const machines = cluster.agents.map(({ host }) => host);
  const { target, other } = targetsOf(rng, kind, services, machines, cluster);
  const amount = amountOf(rng, kind);
  return { kind, atMs, forMs, target, other, amount };
}

function amountOf(rng: Rng, kind: FaultKind): number {
  if (kind === "changeInterval") return rng.pick(intervalsMs);
  if (kind === "slowRedis") return rng.pick([rng.int(2, 20), rng.int(20, 200)]);
  return rng.int(1, 60);
}

function targetsOf(
  rng: Rng,
  kind: FaultKind,
  services: readonly string[],
  machines: readonly string[],
  cluster: ClusterPlan,
): { readonly target: string; readonly other: string } {
  const agent = rng.pick(cluster.agents);
  switch (kind) {
    case "killService":
    case "pauseService":
      return { target: rng.pick(services), other: "" };
    case "pauseMachine":
    case "crashMachine":
    case "stepWallClock":
      return { target: agent.host, other: "" };
    case "isolate":
      return { target: rng.pick([...services, ...machines, ...machines, ...machines]), other: "" };
    case "cutOneWay":
    case "cutBoth":
    case "breakConnections": {
      const all = [...services, ...machines, "redis", "token"];
      const target = rng.pick([...services, ...machines]);
      const others = machines.includes(target)
        ? services.filter((host) => host.startsWith("registry"))
        : all.filter((host) => host !== target);
      return { target, other: rng.pick(others) };
    }
    default:
      return { target: agent.name, other: "" };
  }
}

function pickWeighted(rng: Rng): FaultKind {
  const entries = Object.entries(weights) as [FaultKind, number][];
  let left = rng.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [kind, weight] of entries) {
    left -= weight;
    if (left < 0) return kind;
  }
  return "killService";
}
