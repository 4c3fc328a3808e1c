// SPDX-License-Identifier: Apache-2.0
// What runs all the time beside the turns: lost wake-ups, expired offers, give-ups, cancels, retention.

import { formatRef, parseLane } from "@remex/domain";
import type { CancelTimer, Clock, Logger } from "@remex/runtime";
import type { Giveup, HeldAttempt, SessionStore, TaskStore } from "@remex/store";
import type { DeploymentTurns } from "./deployment-turns.ts";
import type { SchedulerMetrics } from "./scheduler-metrics.ts";

/** A wake-up that was lost costs at most this. */
export const sweepEveryMs = 500;
/** How often ended tasks are trimmed and cancels repeated (C4). */
const slowEveryMs = 5_000;
/** Bounds of one call. */
const mostOffers = 500;
const mostGivenUp = 200;
const mostHolds = 500;
const mostGiveups = 100;
const mostCancels = 1_000;
const mostTrimmed = 500;
/** Changes that the history keeps beside its time limit. */
const mostChanges = 500_000;
/** Kills that were not answered for so long are asked about again (H3). */
const killsPatienceMs = 5_000;

export interface SweepsDeps {
  readonly tasks: TaskStore;
  readonly sessions: Pick<SessionStore, "readGiveups" | "clearGiveups">;
  listDeployments(): Promise<readonly string[]>;
  /** State of a deployment; undefined when this process has none of it. */
  existingTurns(deployment: string): DeploymentTurns | undefined;
  /** Tells agents that are attached here to cancel; others are passed over. */
  tellCancels(deployment: string, attempts: readonly HeldAttempt[]): void;
  /** Asks an agent for its inventory. */
  askInventory(deployment: string, agent: string, session: string): void;
  /** Follows a deployment through the quarantine of a new epoch (D2). */
  reviewQuarantine(deployment: string): Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: SchedulerMetrics;
  /** Brings refused reports to the audit (C3). */
  forwardRefused(deployment: string): Promise<void>;
  onChanged(deployment: string): void;
  onStore(answered: boolean, error?: unknown): void;
}

export interface Sweeps {
  start(): void;
  stop(): void;
  /** One sweep at once; the timer calls it, tests may. */
  sweepOnce(): Promise<void>;
  /** The slow part at once. */
  slowOnce(): Promise<void>;
  /** Gives up what ended sessions of a deployment held. */
  giveUp(deployment: string): Promise<void>;
  /** Tells attached agents the cancels that are wished. */
  repeatCancels(deployment: string): Promise<void>;
}

export function createSweeps(deps: SweepsDeps): Sweeps {
  const { tasks, log, clock } = deps;
  const givingUp = new Map<string, Promise<void>>();
  const timers: CancelTimer[] = [];
  let sweeping: Promise<void> | undefined;
  let trimming: Promise<void> | undefined;

  async function guarded(what: () => Promise<void>): Promise<void> {
    try {
      await what();
      deps.onStore(true);
    } catch (error) {
      deps.onStore(false, error);
    }
  }

  async function sweepDeployment(deployment: string): Promise<void> {
    const expired = await tasks.expireOffers({ deployment, most: mostOffers });
    if (expired.kind === "refused") return;
    if (expired.attempts.length > 0) {
      const count = expired.attempts.length;
      log.warn({ deployment, reason: "offer_expired", count }, "offers expired unanswered");
      deps.onChanged(deployment);
    }
    await deps.reviewQuarantine(deployment);
    await giveUpAll(deployment);
    await giveUpHeld(deployment);
    const turns = deps.existingTurns(deployment);
    if (turns === undefined || turns.agents.size === 0) return;
    askAboutKills(deployment, turns);
    const depths = await tasks.depths({ deployment });
    if (depths.kind === "refused") return;
    turns.agents.refresh(depths.lanes.keys());
    turns.wake();
  }

  function askAboutKills(deployment: string, turns: DeploymentTurns): void {
    const now = clock.nowMs();
    for (const attached of turns.agents.values()) {
      if (attached.kills.size === 0 || now - attached.killsAskedAtMs < killsPatienceMs) continue;
      attached.killsAskedAtMs = now;
      deps.askInventory(deployment, attached.agent, attached.session);
    }
  }

  async function giveUpAll(deployment: string): Promise<void> {
    for (;;) {
      const giveups = await deps.sessions.readGiveups(deployment, mostGiveups);
      if (giveups.length === 0) return;
      const done: Giveup[] = [];
      for (const giveup of giveups) {
        if (await giveUpOne(deployment, giveup)) done.push(giveup);
      }
      if (done.length > 0) await deps.sessions.clearGiveups(deployment, done);
      if (giveups.length < mostGiveups || done.length < giveups.length) return;
    }
  }

  /** Work whose `lost_after` has passed (H1). */
  async function giveUpHeld(deployment: string): Promise<void> {
    const expired = await tasks.expireHolds({ deployment, most: mostHolds });
    if (expired.kind === "refused" || expired.attempts.length === 0) return;
    const count = expired.attempts.length;
    log.warn({ deployment, reason: "lost_after", count }, "held work given up");
    deps.onChanged(deployment);
  }

  /** True when nothing of the session is left to be given up. */
  async function giveUpOne(deployment: string, giveup: Giveup): Promise<boolean> {
    const { agent, reason, endedAtMs } = giveup;
    const session = formatRef(giveup.session);
    const ended = { deployment, agent, session, reason, endedAtMs, most: mostGivenUp };
    for (let attempts = 0, held = 0; ; ) {
      const reply = await tasks.giveUp(ended);
      if (reply.kind !== "given_up") return false;
      attempts += reply.attempts;
      held += reply.held;
      if (reply.more) continue;
      const facts = { deployment, agent, session, reason, attempts, held };
      if (attempts > 0) log.warn(facts, "attempts given up");
      if (held > 0) log.warn(facts, "attempts held");
      if (attempts + held > 0) deps.onChanged(deployment);
      return true;
    }
  }

  function giveUp(deployment: string): Promise<void> {
    const running = givingUp.get(deployment);
    if (running !== undefined) return running;
    const run = guarded(() => giveUpAll(deployment)).finally(() => givingUp.delete(deployment));
    givingUp.set(deployment, run);
    return run;
  }

  async function cancelsOf(deployment: string): Promise<void> {
    const wished = await tasks.listCancels({ deployment, most: mostCancels });
    if (wished.kind === "wished") deps.tellCancels(deployment, wished.attempts);
  }

  async function slowDeployment(deployment: string): Promise<void> {
    if ((deps.existingTurns(deployment)?.agents.size ?? 0) > 0) await cancelsOf(deployment);
    await deps.forwardRefused(deployment);
    for (;;) {
      const reply = await tasks.trim({ deployment, most: mostTrimmed, mostChanges });
      if (reply.kind === "refused") return;
      if (reply.tasks < mostTrimmed) break;
    }
    const depths = await tasks.depths({ deployment });
    if (depths.kind === "refused") return;
    const queues = new Map<string, number>();
    for (const [lane, depth] of depths.lanes) {
      const { queue } = parseLane(lane);
      queues.set(queue, (queues.get(queue) ?? 0) + depth);
    }
    deps.metrics.tasks(deployment, depths.states, queues);
  }

  function all(each: (deployment: string) => Promise<void>): Promise<void> {
    return guarded(async () => {
      for (const deployment of await deps.listDeployments()) await each(deployment);
    });
  }

  function sweepOnce(): Promise<void> {
    sweeping ??= all(sweepDeployment).finally(() => {
      sweeping = undefined;
    });
    return sweeping;
  }

  function slowOnce(): Promise<void> {
    trimming ??= all(slowDeployment).finally(() => {
      trimming = undefined;
    });
    return trimming;
  }

  return {
    start() {
      if (timers.length > 0) return;
      timers.push(clock.every(sweepEveryMs, () => void sweepOnce()));
      timers.push(clock.every(slowEveryMs, () => void slowOnce()));
    },
    stop() {
      for (const cancel of timers.splice(0)) cancel();
    },
    sweepOnce,
    slowOnce,
    giveUp,
    repeatCancels: (deployment) => guarded(() => cancelsOf(deployment)),
  };
}
