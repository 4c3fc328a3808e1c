// SPDX-License-Identifier: Apache-2.0
// The store's epoch (PROTOCOL T7, D2): made once from the store's own time, and held by each process.
import type { Redis } from "ioredis";
import { globalKeys } from "./keys.ts";

/** The epoch as a process knows it. */
export interface EpochCell {
  /** The epoch as text; empty until it was read for the first time. */
  current(): string;
  /** Sets it after it was read. */
  set(epoch: string): void;
}

/** Makes an empty cell. */
export function createEpochCell(): EpochCell {
  let epoch = "";
  return {
    current: () => epoch,
    set: (next) => {
      epoch = next;
    },
  };
}

/**
 * Reads the epoch, and makes the first one from Redis TIME in seconds where there is none. Safe when
 * several processes start at once: the first write stands.
 */
export async function ensureEpoch(redis: Redis, cell: EpochCell): Promise<string> {
  const [seconds] = await redis.time();
  // A store that forgot its epoch forgot what it numbered in it: the next one must be greater, also
  // within the same second (PROTOCOL D2, I9).
  const least = Number(cell.current() || "0") + 1;
  await redis.set(globalKeys.epoch, String(Math.max(Number(seconds), least)), "NX");
  const epoch = await redis.get(globalKeys.epoch);
  if (epoch === null) throw new Error("the store lost its epoch while it was being read");
  cell.set(epoch);
  return epoch;
}
