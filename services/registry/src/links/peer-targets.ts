// SPDX-License-Identifier: Apache-2.0
// Finds the schedulers and health-monitors that live, and keeps links to all of them.
import type { CancelTimer, Clock } from "@remex/runtime";
import type { ReplicaRecord } from "@remex/store";
import type { LinkTarget } from "@remex/transport";

export interface PeerTargetsDeps {
  readonly clock: Clock;
  listReplicas(role: string): Promise<ReplicaRecord[]>;
  /** Who is told the targets, by role. */
  readonly relays: Readonly<Record<string, { setTargets(targets: readonly LinkTarget[]): void }>>;
  onFailure(error: unknown): void;
}

/** How often the records are read. */
const lookEveryMs = 1_000;

/** Starts looking; while the store is away the links stay as they are. Answers how to stop. */
export function followPeers(deps: PeerTargetsDeps): CancelTimer {
  async function look(): Promise<void> {
    for (const [role, relay] of Object.entries(deps.relays)) {
      const replicas = await deps.listReplicas(role);
      relay.setTargets(replicas.map(({ replica, address }) => ({ id: replica, address })));
    }
  }
  const lookSafely = () => void look().catch(deps.onFailure);
  lookSafely();
  return deps.clock.every(lookEveryMs, lookSafely);
}
