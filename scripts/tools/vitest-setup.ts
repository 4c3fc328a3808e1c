// SPDX-License-Identifier: Apache-2.0
// Runs once before the TypeScript tests: finds the Redis server that they start their private copies of.

import { findRedisServer } from "./redis-binary.ts";

export async function setup(): Promise<void> {
  process.env.REMEX_REDIS_SERVER ??= await findRedisServer();
}
