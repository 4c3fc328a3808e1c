// SPDX-License-Identifier: Apache-2.0
// Raises the alarm while the brake holds agents back (PROTOCOL L4), and says when it is over.
import type { Logger } from "@remex/runtime";
import type { Brake } from "@remex/store";

export interface BrakeAlarm {
  /** The brakes of a deployment as the last scan found them. */
  seen(deployment: string, brakes: readonly Brake[]): void;
}

/** `onSuspects` is told the number of agents that are held, for the metric. */
export function createBrakeAlarm(
  log: Logger,
  onSuspects: (deployment: string, suspects: number) => void,
): BrakeAlarm {
  const holding = new Map<string, ReadonlySet<string>>();
  return {
    seen(deployment, brakes) {
      const before = holding.get(deployment);
      if (before === undefined && brakes.length === 0) return;
      for (const { scope, base, budget, suspects } of brakes) {
        if (before?.has(scope)) continue;
        const facts = { deployment, scope, base, budget, suspects };
        log.error(facts, "most agents fell silent at once: the brake holds them as SUSPECT");
      }
      const scopes = new Set(brakes.map(({ scope }) => scope));
      for (const scope of before ?? []) {
        if (!scopes.has(scope))
          log.warn({ deployment, scope }, "the brake holds no agent any more");
      }
      if (scopes.size === 0) holding.delete(deployment);
      else holding.set(deployment, scopes);
      onSuspects(
        deployment,
        brakes.reduce((sum, { suspects }) => sum + suspects, 0),
      );
    },
  };
}
