// SPDX-License-Identifier: Apache-2.0
// The records that replicas of services keep of themselves, by which the others find them.
import type { Redis } from "ioredis";
import { globalKeys } from "./keys.ts";

/** Time after which a record that is not renewed is dead. */
export const REPLICA_TTL_MS = 10_000;
/** How often a living replica renews its record. */
export const REPLICA_RENEW_MS = 3_000;

/** One process that serves a role. */
export interface ReplicaRecord {
  readonly role: string;
  /** Random per process. */
  readonly replica: string;
  /** Base URL that other services reach it at. */
  readonly address: string;
  readonly softwareVersion: string;
  /** Time since the record was renewed; set by `listReplicas`. */
  readonly ageMs: number;
}

/** Writes or renews a replica's own record. */
export async function renewReplica(
  redis: Redis,
  record: Omit<ReplicaRecord, "ageMs">,
): Promise<void> {
  const renewedAtMs = await storeTimeMs(redis);
  const { role, replica, address, softwareVersion } = record;
  const text = JSON.stringify({ address, softwareVersion, renewedAtMs });
  await redis.hset(globalKeys.replicas(role), replica, text);
}

/** Removes a replica's own record, at a clean stop. */
export async function removeReplica(redis: Redis, role: string, replica: string): Promise<void> {
  await redis.hdel(globalKeys.replicas(role), replica);
}

/** The living replicas of a role, by id; records of dead ones are removed on the way. */
export async function listReplicas(redis: Redis, role: string): Promise<ReplicaRecord[]> {
  const nowMs = await storeTimeMs(redis);
  const all = await redis.hgetall(globalKeys.replicas(role));
  const living: ReplicaRecord[] = [];
  const dead: string[] = [];
  for (const [replica, text] of Object.entries(all)) {
    const record = JSON.parse(text) as {
      address: string;
      softwareVersion: string;
      renewedAtMs: number;
    };
    const ageMs = Math.max(0, nowMs - record.renewedAtMs);
    if (ageMs >= REPLICA_TTL_MS) dead.push(replica);
    else
      living.push({
        role,
        replica,
        address: record.address,
        softwareVersion: record.softwareVersion,
        ageMs,
      });
  }
  if (dead.length > 0) await redis.hdel(globalKeys.replicas(role), ...dead);
  return living.sort((a, b) => (a.replica < b.replica ? -1 : 1));
}

async function storeTimeMs(redis: Redis): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
}
