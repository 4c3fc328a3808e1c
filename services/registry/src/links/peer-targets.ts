// SPDX-License-Identifier: Apache-2.0
// Finds the schedulers and health-monitors that live, and keeps links to all of them.
import type { CancelTimer, Clock } from "@remex/runtime";
import { REPLICA_TTL_MS, type ReplicaRecord } from "@remex/store";
import type { LinkTarget } from "@remex/transport";

export interface PeerTargetsDeps {
  readonly clock: Clock;
  listReplicas(role: string): Promise<ReplicaRecord[]>;
  /** Epoch of the store. */
  epoch(): string;
  /** Who is told the targets, by role. */
  readonly relays: Readonly<Record<string, { setTargets(targets: readonly LinkTarget[]): void }>>;
  onFailure(error: unknown): void;
}

/** How often the records are read. */
const lookEveryMs = 1_000;

/** Starts looking; while the store is away the links stay as they are. Answers how to stop. */
export function followPeers(deps: PeerTargetsDeps): CancelTimer {
  const known = new Map<string, Map<string, Known>>();
  let epoch = deps.epoch();
  let keepUntilMs = Number.NEGATIVE_INFINITY;

  async function look(): Promise<void> {
    for (const [role, relay] of Object.entries(deps.relays)) {
      const replicas = await deps.listReplicas(role);
      const nowMs = deps.clock.nowMs();
      if (deps.epoch() !== epoch) {
        epoch = deps.epoch();
        keepUntilMs = nowMs + REPLICA_TTL_MS;
      }
      const targets = stillThere(known.get(role) ?? new Map(), replicas, nowMs < keepUntilMs);
      known.set(role, targets);
      relay.setTargets([...targets.values()].map(({ target }) => target));
    }
  }
  const lookSafely = () => void look().catch(deps.onFailure);
  lookSafely();
  return deps.clock.every(lookEveryMs, lookSafely);
}

interface Known {
  readonly target: LinkTarget;
  /** Looks in a row that did not find its record. */
  readonly missed: number;
}

/**
 * A wiped store lists nobody until each replica has written its record again, and nobody is gone for that. So
 * who is missing is kept for one more look, by which a wipe is known, and after one for a record's life.
 */
function stillThere(
  before: ReadonlyMap<string, Known>,
  replicas: readonly ReplicaRecord[],
  wiped: boolean,
): Map<string, Known> {
  const now = new Map<string, Known>();
  for (const { replica, address } of replicas) {
    now.set(replica, { target: { id: replica, address }, missed: 0 });
  }
  for (const [id, { target, missed }] of before) {
    if (!now.has(id) && (wiped || missed === 0)) now.set(id, { target, missed: missed + 1 });
  }
  return now;
}
