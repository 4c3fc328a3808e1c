// SPDX-License-Identifier: Apache-2.0
// The connections to Redis: one for commands, one for subscriptions, neither of which ever resends.
import { Redis, type RedisOptions } from "ioredis";

/** The connections that a process keeps. */
export interface RedisConnections {
  /** For commands and function calls. */
  readonly commands: Redis;
  /** For subscriptions alone. */
  readonly subscriptions: Redis;
  /** One more connection, which ends with the others. */
  openAnother(purpose: string): Redis;
  /** Ends all at once; calls under way are rejected. */
  close(): void;
}

/** What to connect to. */
export interface RedisTarget {
  /** `redis://`, `rediss://` or `unix:///path/to.sock`; user, password and database as Redis URLs have them. */
  readonly url: string;
  /** Name shown by `CLIENT LIST`. */
  readonly connectionName: string;
  /** Called once per connection failure, for the log; the error holds no password. */
  readonly onError?: (error: Error) => void;
}

const RECONNECT_FIRST_MS = 50;
const RECONNECT_MOST_MS = 1000;

// PROTOCOL D4: an error or a dropped connection means "outcome unknown". So nothing is queued while
// away, nothing is sent again, and each caller decides whether its function may be repeated.
const options = {
  lazyConnect: true,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  enableAutoPipelining: false,
  connectTimeout: 5000,
  protocol: 2,
  retryStrategy: (times: number) =>
    Math.min(RECONNECT_FIRST_MS * 2 ** Math.min(times - 1, 10), RECONNECT_MOST_MS),
} satisfies RedisOptions;

/** Opens both connections; they come up, and come back, by themselves. Never throws for an absent server. */
export function openRedis(target: RedisTarget): RedisConnections {
  const open = (suffix: string): Redis => {
    const own = { ...options, connectionName: `${target.connectionName}-${suffix}` };
    const redis = target.url.startsWith("unix://")
      ? new Redis(target.url.slice("unix://".length), own)
      : new Redis(target.url, own);
    redis.on("error", (error: Error) => target.onError?.(error));
    // The first failure is reported by the event above; later ones are retried for ever.
    redis.connect().catch(() => undefined);
    return redis;
  };
  const commands = open("commands");
  const subscriptions = open("subscriptions");
  const others: Redis[] = [];
  return {
    commands,
    subscriptions,
    openAnother: (purpose) => {
      const redis = open(purpose);
      others.push(redis);
      return redis;
    },
    close: () => {
      for (const redis of [commands, subscriptions, ...others]) redis.disconnect();
    },
  };
}

/** Whether calls can be made now. */
export function isRedisReady(redis: Redis): boolean {
  return redis.status === "ready";
}
