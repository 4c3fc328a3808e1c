// SPDX-License-Identifier: Apache-2.0
// Keeps the records of this process's roles in Redis, by which other processes find them.

import type { Clock, Logger } from "@remex/runtime";
import {
  REPLICA_RENEW_MS,
  type ReplicaRecord,
  removeReplica,
  renewReplica,
  type Store,
} from "@remex/store";

export interface ReplicaRecordsDeps {
  readonly store: Pick<Store, "redis">;
  readonly records: readonly Omit<ReplicaRecord, "ageMs">[];
  readonly clock: Clock;
  readonly log: Logger;
}

export interface ReplicaRecords {
  /** Renews now and every few seconds. */
  start(): void;
  /** Renews at once, for example when Redis has come back. */
  renew(): void;
  /** Stops renewing and takes the records away. */
  stop(): Promise<void>;
}

export function createReplicaRecords(deps: ReplicaRecordsDeps): ReplicaRecords {
  const { redis } = deps.store;
  let cancel = (): void => undefined;
  const renew = (): void => {
    for (const record of deps.records) {
      // Redis being away is said by its own part of the readiness; the next turn tries again.
      renewReplica(redis, record).catch((err: unknown) => {
        deps.log.debug({ err }, "the replica's record was not renewed");
      });
    }
  };
  return {
    start: () => {
      cancel = deps.clock.every(REPLICA_RENEW_MS, renew);
      renew();
    },
    renew,
    stop: async () => {
      cancel();
      const removals = deps.records.map(({ role, replica }) => removeReplica(redis, role, replica));
      // A record that cannot be removed dies of age.
      await Promise.allSettled(removals);
    },
  };
}
