// SPDX-License-Identifier: Apache-2.0
// A replica of a test's Redis, and its promotion behind the primary's address.
import { rename } from "node:fs/promises";
import { Redis } from "ioredis";
import { type PrivateRedis, startPrivateRedis } from "./private-redis.ts";

/** A server that follows another one until it is cut off or promoted. */
export interface RedisReplica {
  /** From here on it gets nothing any more: what is written now is lost by its promotion. */
  cut(): Promise<void>;
  /** Kills the primary; the replica answers in its place, at its address. */
  promote(): Promise<void>;
  stop(): Promise<void>;
}

const syncWithinMs = 20_000;
/** Otherwise a primary waits five seconds for more replicas to come. */
const quick = ["--repl-diskless-sync-delay", "0"];

/** Settings of a server that can have a replica, which must find it at a port. */
export function primaryArgs(port: number): readonly string[] {
  return ["--port", String(port), ...quick];
}

/** Starts a replica of a server that was started with `primaryArgs`; settles when it has everything. */
export async function startReplicaOf(primary: PrivateRedis, port: number): Promise<RedisReplica> {
  const replica = await startPrivateRedis(["--replicaof", "127.0.0.1", String(port)]);
  const direct = new Redis(pathOf(replica.url), { maxRetriesPerRequest: null });
  await untilSynced(direct);
  return {
    cut: async () => {
      await direct.replicaof("NO", "ONE");
    },
    promote: async () => {
      await direct.replicaof("NO", "ONE");
      await primary.kill();
      await rename(pathOf(replica.url), pathOf(primary.url));
    },
    stop: async () => {
      direct.disconnect();
      await replica.stop();
    },
  };
}

function pathOf(url: string): string {
  return url.slice("unix://".length);
}

async function untilSynced(replica: Redis): Promise<void> {
  const deadline = performance.now() + syncWithinMs;
  while (performance.now() < deadline) {
    if (/^master_link_status:up/m.test(await replica.info("replication"))) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("the replica did not take over the primary's data in time");
}
