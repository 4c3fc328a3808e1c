// SPDX-License-Identifier: Apache-2.0
// Which records store this Redis belongs to: two different ones would overwrite each other's deployments.
import type { Redis } from "ioredis";
import { globalKeys } from "./keys.ts";

/** Ties this Redis to the records store `id` if it is tied to none; answers the one it is tied to. */
export async function pairRecords(redis: Redis, id: string): Promise<string> {
  await redis.set(globalKeys.records, id, "NX");
  const paired = await redis.get(globalKeys.records);
  if (paired === null) throw new Error("the store lost its tie to the records while it was read");
  return paired;
}
