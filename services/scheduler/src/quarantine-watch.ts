// SPDX-License-Identifier: Apache-2.0
// Follows deployments through the quarantine of a new epoch (PROTOCOL D2): asks agents what they hold, until it is over.

import type { Clock, Logger } from "@remex/runtime";
import type { TaskStore } from "@remex/store";
import type { AttachedAgents } from "./attached-agents.ts";

export interface QuarantineWatchDeps {
  readonly tasks: Pick<TaskStore, "reviewQuarantine">;
  /** Epoch of the store. */
  epoch(): string;
  /** Agents of a deployment that are attached here. */
  agentsOf(deployment: string): Pick<AttachedAgents, "get" | "values"> | undefined;
  /** Asks an agent for its inventory of this epoch. */
  ask(deployment: string, agent: string, session: string, epoch: string): void;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface QuarantineWatch {
  /** Looks at a deployment; costs one call of the store per epoch, and while its quarantine lasts. */
  review(deployment: string): Promise<void>;
}

/** An agent that was asked and has not answered is asked again. */
const askAgainMs = 2_000;
const mostAwaited = 1_000;

export function createQuarantineWatch(deps: QuarantineWatchDeps): QuarantineWatch {
  const { clock, log, tasks } = deps;
  /** The epoch of a deployment in which there is no quarantine any more. */
  const overIn = new Map<string, string>();
  const since = new Map<string, string>();
  const askedAtMs = new Map<string, number>();

  function askAwaited(deployment: string, awaited: readonly string[], epoch: string): void {
    const nowMs = clock.nowMs();
    for (const agent of awaited) {
      const attached = deps.agentsOf(deployment)?.get(agent);
      if (attached === undefined) continue;
      const name = `${deployment}/${agent}/${attached.session}/${epoch}`;
      if (nowMs - (askedAtMs.get(name) ?? Number.NEGATIVE_INFINITY) < askAgainMs) continue;
      askedAtMs.set(name, nowMs);
      deps.ask(deployment, agent, attached.session, epoch);
    }
  }

  // What an agent was told to keep may have been superseded by what another one brought after it.
  function end(deployment: string, epoch: string): void {
    overIn.set(deployment, epoch);
    if (since.get(deployment) !== epoch) return;
    since.delete(deployment);
    askedAtMs.clear();
    log.info({ deployment, epoch }, "quarantine is over: offers go on");
    for (const { agent, session } of deps.agentsOf(deployment)?.values() ?? []) {
      deps.ask(deployment, agent, session, epoch);
    }
  }

  return {
    async review(deployment) {
      const epoch = deps.epoch();
      if (overIn.get(deployment) === epoch) return;
      const reply = await tasks.reviewQuarantine({ deployment, most: mostAwaited });
      if (reply.kind === "refused" || epoch !== deps.epoch()) return;
      if (reply.kind === "none") {
        end(deployment, epoch);
        return;
      }
      if (since.get(deployment) !== epoch) {
        since.set(deployment, epoch);
        const { leftMs, awaited } = reply;
        const facts = { deployment, epoch, leftMs, awaited: awaited.length };
        log.warn(
          facts,
          "the store may have lost work: no offers until agents have said what they hold",
        );
      }
      askAwaited(deployment, reply.awaited, epoch);
    },
  };
}
