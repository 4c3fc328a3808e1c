// SPDX-License-Identifier: Apache-2.0
// The dialling side of the links to health-monitors: a verdict that ends a session begins its give-up.

import { AgentHealth, type MonitorEvent, type VerdictLinkEvent } from "@remex/proto/health/v1";
import type { Clock, Logger } from "@remex/runtime";
import { createManagedLinks, type FrameLink, type LinkTarget } from "@remex/transport";

/** Finds and dials health-monitors, over the network or within the process. */
export interface MonitorPeers {
  list(): Promise<readonly LinkTarget[]>;
  /** Dials one; the link's first frame is `verdictHello`. */
  dial(target: LinkTarget, signal: AbortSignal): Promise<FrameLink<MonitorEvent, VerdictLinkEvent>>;
}

/** First events of a scheduler's link to a monitor. */
export function verdictHello(scheduler: string): VerdictLinkEvent[] {
  return [
    {
      $typeName: "remex.health.v1.VerdictLinkEvent",
      event: {
        case: "hello",
        value: { $typeName: "remex.health.v1.VerdictLinkHello", scheduler },
      },
    },
  ];
}

export interface VerdictLinks {
  start(): void;
  stop(): void;
  /** What is missing, in words; undefined when every monitor is linked and there is one. */
  problem(): string | undefined;
}

const discoverEveryMs = 1_000;

export function createVerdictLinks(deps: {
  readonly monitors: MonitorPeers;
  readonly clock: Clock;
  readonly log: Logger;
  /** A deployment has sessions that ended. */
  onEnded(deployment: string): void;
}): VerdictLinks {
  const { clock, log, monitors } = deps;
  let stopTimer: (() => void) | undefined;
  let found = 0;

  const links = createManagedLinks<MonitorEvent, VerdictLinkEvent>({
    dial: (target, signal) => monitors.dial(target, signal),
    onUp: (_target, link) => {
      link.onEvents((events) => {
        const ended = new Set<string>();
        for (const { event } of events) {
          if (event.case !== "verdict") continue;
          const { health, deployment } = event.value;
          if (health === AgentHealth.FAILED || health === AgentHealth.LEFT) ended.add(deployment);
        }
        for (const deployment of ended) deps.onEnded(deployment);
      });
    },
    // What was said meanwhile stands in the store, which the sweep reads all the time.
    onDown: () => undefined,
    clock,
    log,
  });

  async function discover(): Promise<void> {
    try {
      const targets = await monitors.list();
      found = targets.length;
      links.setTargets(targets);
    } catch (err) {
      log.debug({ err }, "the list of health-monitors cannot be read now");
    }
  }

  return {
    start() {
      void discover();
      stopTimer ??= clock.every(discoverEveryMs, () => void discover());
    },
    stop() {
      stopTimer?.();
      stopTimer = undefined;
      links.close();
    },
    problem() {
      if (found === 0) return "no health-monitor is known";
      const missing = links.missing();
      return missing.length === found
        ? `no link to any health-monitor (${missing.map(({ id }) => id).join(", ")})`
        : undefined;
    },
  };
}
