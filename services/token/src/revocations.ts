// SPDX-License-Identifier: Apache-2.0
// Finds credentials as they end, by revocation or by time, and tells everybody who watches.

import type { Records } from "@remex/records";
import type { CancelTimer, Clock, Logger } from "@remex/runtime";

export interface EndedCredential {
  readonly kind: "agent_token" | "operator_key";
  readonly publicId: string;
  readonly deployment: string;
  readonly reason: "revoked" | "expired";
}

export interface Revocations {
  start(): void;
  stop(): void;
  /** Reads the records now, for example after a revocation made here. */
  sweep(): Promise<void>;
  /** Everything that ended in the last hour, for the first frame of a watch. */
  listRecent(): Promise<EndedCredential[]>;
  /** Tells of each credential once, as it ends; the answer ends the subscription. */
  subscribe(listener: (ended: readonly EndedCredential[]) => void): () => void;
}

/** Revocations made by other replicas, and expiries, are seen within this time. */
const sweepEveryMs = 500;
/** A replica whose wall clock is this much behind is still heard. */
const clockAllowanceMs = 60_000;
const recentMs = 3_600_000;

export interface RevocationsDeps {
  readonly records: Pick<Records, "agentTokens" | "operatorKeys">;
  readonly clock: Clock;
  readonly log: Logger;
}

export function createRevocations(deps: RevocationsDeps): Revocations {
  const listeners = new Set<(ended: readonly EndedCredential[]) => void>();
  // Told within the time that a sweep looks back; older ones cannot be found again.
  const told = new Map<string, number>();
  let sweptToMs = deps.clock.wallMs();
  let cancel: CancelTimer | undefined;
  let failing = false;

  const sweep = async (): Promise<void> => {
    const nowMs = deps.clock.wallMs();
    const sinceMs = sweptToMs - clockAllowanceMs;
    const ended = await listEnded(deps.records, sinceMs, nowMs);
    const fresh = ended.filter((entry) => !told.has(keyOf(entry)));
    for (const entry of fresh) {
      told.set(keyOf(entry), nowMs);
    }
    for (const [key, atMs] of told) {
      if (atMs < sinceMs - clockAllowanceMs) told.delete(key);
    }
    sweptToMs = Math.max(sweptToMs, nowMs);
    if (fresh.length > 0) {
      for (const listener of listeners) listener(fresh);
    }
  };

  const sweepAndLog = async (): Promise<void> => {
    try {
      await sweep();
      failing = false;
    } catch (err) {
      if (!failing) deps.log.warn({ err }, "revocations cannot be read; trying again");
      failing = true;
    }
  };

  return {
    start: () => {
      cancel ??= deps.clock.every(sweepEveryMs, () => void sweepAndLog());
    },
    stop: () => {
      cancel?.();
      cancel = undefined;
    },
    sweep,
    listRecent: () => {
      const nowMs = deps.clock.wallMs();
      return listEnded(deps.records, nowMs - recentMs, nowMs);
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

async function listEnded(
  records: Pick<Records, "agentTokens" | "operatorKeys">,
  sinceMs: number,
  nowMs: number,
): Promise<EndedCredential[]> {
  const tokens = await records.agentTokens.listEnded(sinceMs, nowMs);
  const keys = await records.operatorKeys.listEnded(sinceMs, nowMs);
  return [
    ...tokens.map((token) => ({
      kind: "agent_token" as const,
      publicId: token.token,
      deployment: token.deployment,
      reason: token.revokedAtMs === null ? ("expired" as const) : ("revoked" as const),
    })),
    ...keys.map((key) => ({
      kind: "operator_key" as const,
      publicId: key.key,
      deployment: key.deployment,
      reason: key.revokedAtMs === null ? ("expired" as const) : ("revoked" as const),
    })),
  ];
}

function keyOf(ended: EndedCredential): string {
  return `${ended.kind}:${ended.publicId}:${ended.reason}`;
}
