// SPDX-License-Identifier: Apache-2.0
// The store's door for tests.

export {
  fixtureFacts as sessionFixtureFacts,
  type SessionFixture,
  startSessionFixture,
} from "../session/session-fixture.ts";
export { type PrivateRedis, startPrivateRedis } from "./private-redis.ts";
export { primaryArgs, type RedisReplica, startReplicaOf } from "./redis-replica.ts";
