// SPDX-License-Identifier: Apache-2.0
// The store's door for tests.
export { type PrivateRedis, startPrivateRedis } from "./private-redis.ts";
