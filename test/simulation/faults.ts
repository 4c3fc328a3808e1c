// SPDX-License-Identifier: Apache-2.0
// Carries out the faults of a plan, and makes everything whole again at the end.

import type { Cluster } from "./cluster.ts";
import type { SimProcess } from "./engine/world.ts";
import type { FaultKind, FaultPlan } from "./fault-plan.ts";
import { machineNamed, type TableEntry } from "./os/machine.ts";

export interface FaultsDeps {
  readonly cluster: Cluster;
  readonly onFault: (what: string, target: string) => void;
  /** The store is another one now. */
  readonly onStoreReset: () => Promise<void>;
}

export class Faults {
  readonly #deps: FaultsDeps;
  readonly #paused = new Set<SimProcess>();
  /** Agents that an operator has decided something about. */
  readonly #steered = new Set<string>();
  readonly #removed = new Set<string>();
  /** True once everything was made whole: what was to end later has ended. */
  #healed = false;

  constructor(deps: FaultsDeps) {
    this.#deps = deps;
  }

  schedule(faults: readonly FaultPlan[]): void {
    const { world } = this.#deps.cluster;
    for (const fault of faults) {
      world.after(fault.atMs - world.nowMs, undefined, fault.kind, () => this.#begin(fault));
    }
  }

  heal(): void {
    const { cluster } = this.#deps;
    this.#healed = true;
    cluster.network.healAll();
    cluster.network.profile = cluster.plan.network;
    cluster.redis.slowMs = 0;
    if (!cluster.redis.process.alive) cluster.redis.restart();
    for (const process of this.#paused) process.resume();
    this.#paused.clear();
    for (const { host } of cluster.plan.services) cluster.startService(host);
    this.#restore();
    for (const { name } of cluster.plan.agents) {
      const token = cluster.tokenOf.get(name);
      if (token?.revokedAtMs !== undefined) cluster.renewToken(name);
      cluster.startAgent(name);
    }
  }

  /** Operators take back what they decided; a deleted agent comes back as another process. */
  #restore(): void {
    const { operator, agents, world } = this.#deps.cluster;
    for (const agent of this.#steered) operator.uncordon(agent);
    for (const agent of this.#removed) {
      operator.restore(agent);
      const process = agents.get(agent)?.process;
      if (process?.alive) machineNamed(world, process.host).signal(process.pid, "SIGKILL");
    }
  }

  #begin(fault: FaultPlan): void | Promise<void> {
    if (this.#healed) return undefined;
    const { other, forMs, kind, target } = fault;
    this.#deps.onFault(kind, other === "" ? `${target} ${forMs}` : `${target}>${other} ${forMs}`);
    return this.#actions[kind](fault);
  }

  /** Later, unless everything is whole by then. */
  #later(delayMs: number, what: string, run: () => void): void {
    const { world } = this.#deps.cluster;
    world.after(delayMs, undefined, what, () => {
      if (this.#healed) return;
      this.#deps.onFault(what, "");
      run();
    });
  }

  #pause(processes: readonly SimProcess[], forMs: number): void {
    for (const process of processes) {
      process.pause();
      this.#paused.add(process);
    }
    this.#later(forMs, "resume", () => {
      for (const process of processes) {
        process.resume();
        this.#paused.delete(process);
      }
    });
  }

  #tableOf(host: string): TableEntry[] {
    return [...machineNamed(this.#deps.cluster.world, host).table.values()];
  }

  #hostOf(agent: string): string {
    return this.#deps.cluster.plan.agents.find(({ name }) => name === agent)?.host ?? "";
  }

  #runnersOf(agent: string): SimProcess[] {
    return this.#tableOf(this.#hostOf(agent))
      .map(({ process }) => process)
      .filter(({ name }) => name.startsWith("runner"));
  }

  #cut(pairs: readonly (readonly [string, string])[], forMs: number): void {
    const { network } = this.#deps.cluster;
    for (const [from, to] of pairs) network.cut(from, to);
    this.#later(forMs, "heal", () => {
      for (const [from, to] of pairs) network.heal(from, to);
    });
  }

  readonly #actions: Readonly<Record<FaultKind, (fault: FaultPlan) => void | Promise<void>>> = {
    killService: ({ target, forMs }) => {
      const { cluster } = this.#deps;
      cluster.services.get(target)?.kill();
      this.#later(forMs, "restart", () => cluster.startService(target));
    },
    pauseService: ({ target, forMs }) => {
      const process = this.#deps.cluster.services.get(target);
      if (process?.alive) this.#pause([process], forMs);
    },
    killAgent: ({ target, forMs }) => {
      const { cluster } = this.#deps;
      const process = cluster.agents.get(target)?.process;
      if (process === undefined) return;
      machineNamed(cluster.world, process.host).signal(process.pid, "SIGKILL");
      this.#later(forMs, "restart", () => cluster.startAgent(target));
    },
    killRunner: ({ target }) => {
      const machine = machineNamed(this.#deps.cluster.world, this.#hostOf(target));
      for (const { pid } of this.#runnersOf(target)) machine.signal(pid, "SIGKILL");
    },
    pauseAgent: ({ target, forMs }) => {
      const process = this.#deps.cluster.agents.get(target)?.process;
      if (process?.alive) this.#pause([process], forMs);
    },
    pauseRunner: ({ target, forMs }) => this.#pause(this.#runnersOf(target), forMs),
    pauseMachine: ({ target, forMs }) =>
      this.#pause(
        this.#tableOf(target).map(({ process }) => process),
        forMs,
      ),
    crashMachine: ({ target, forMs }) => {
      const { cluster } = this.#deps;
      const hosts = [...cluster.plan.services.map(({ host }) => host)];
      for (const host of hosts) cluster.network.cut(target, host);
      machineNamed(cluster.world, target).crash();
      this.#later(forMs, "restart", () => {
        for (const host of hosts) cluster.network.heal(target, host);
        for (const { name, host } of cluster.plan.agents)
          if (host === target) cluster.startAgent(name);
      });
    },
    cutOneWay: ({ target, other, forMs }) => this.#cut([[target, other]], forMs),
    cutBoth: ({ target, other, forMs }) =>
      this.#cut(
        [
          [target, other],
          [other, target],
        ],
        forMs,
      ),
    isolate: ({ target, forMs }) => {
      const { plan } = this.#deps.cluster;
      const hosts = [...plan.services, ...plan.agents].map(({ host }) => host);
      const others = [...hosts, "redis", "token", "client"].filter((host) => host !== target);
      this.#cut(
        others.flatMap((host) => [[target, host] as const, [host, target] as const]),
        forMs,
      );
    },
    breakConnections: ({ target, other }) => {
      this.#deps.cluster.network.breakBetween(target, other);
    },
    slowNetwork: ({ forMs }) => {
      const { network, plan } = this.#deps.cluster;
      network.profile = { delayMs: [5, 120], spikeChance: 0.1, spikeMs: [100, 1_500] };
      this.#later(forMs, "usual network", () => {
        network.profile = plan.network;
      });
    },
    slowRedis: ({ forMs, amount }) => {
      const { redis } = this.#deps.cluster;
      redis.slowMs = amount;
      this.#later(forMs, "usual redis", () => {
        redis.slowMs = 0;
      });
    },
    restartRedis: ({ forMs }) => {
      const { redis } = this.#deps.cluster;
      if (!redis.process.alive) return;
      redis.kill();
      this.#later(forMs, "redis is back", () => redis.restart());
    },
    pauseRedis: ({ forMs }) => this.#pause([this.#deps.cluster.redis.process], forMs),
    loseWrites: async ({ amount }) => {
      const { redis } = this.#deps.cluster;
      redis.kill();
      await redis.loseLast(amount);
      redis.restart();
      await this.#deps.onStoreReset();
    },
    wipeRedis: async () => {
      await this.#deps.cluster.redis.wipe();
      await this.#deps.onStoreReset();
    },
    stepRedisClock: ({ amount, forMs }) => {
      const forward = amount % 2 === 0;
      this.#deps.cluster.redis.clockOffsetMs += forward ? forMs : -forMs;
    },
    stepWallClock: ({ target, amount, forMs }) => {
      const forward = amount % 2 === 0;
      for (const { process } of this.#tableOf(target))
        process.wallOffsetMs += forward ? forMs : -forMs;
    },
    revokeToken: ({ target, forMs }) => {
      const { cluster } = this.#deps;
      const token = cluster.tokenOf.get(target);
      if (token === undefined) return;
      cluster.tokens.revoke(token);
      this.#later(forMs, "new token", () => cluster.renewToken(target));
    },
    cordonAgent: ({ target, forMs }) => {
      const { operator } = this.#deps.cluster;
      operator.cordon(target);
      this.#steered.add(target);
      this.#later(forMs, "uncordon", () => operator.uncordon(target));
    },
    drainByOperator: ({ target, forMs }) => {
      this.#deps.cluster.operator.drain(target, forMs);
      this.#steered.add(target);
    },
    deleteAgent: ({ target }) => {
      this.#deps.cluster.operator.remove(target);
      this.#removed.add(target);
    },
    changeInterval: ({ amount }) => this.#deps.cluster.operator.setInterval(amount),
    drainAgent: ({ target, forMs }) => {
      const { cluster } = this.#deps;
      cluster.agents.get(target)?.drain("SIGTERM");
      this.#later(forMs, "restart", () => cluster.startAgent(target));
    },
  };
}
