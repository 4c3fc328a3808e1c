// SPDX-License-Identifier: Apache-2.0
// A primary and its replica for a test, and the promotion of the replica behind the primary's address.
import { rename } from "node:fs/promises";
import { createServer } from "node:net";
import { Redis } from "ioredis";
import { type PrivateRedis, startPrivateRedis } from "./private-redis.ts";

/** Two servers, the second of which follows the first until it is cut off or promoted. */
export interface RedisPair {
  /** URL of whoever is primary: it stays the same over the promotion. */
  readonly url: string;
  readonly primary: PrivateRedis;
  /** From here on the replica gets nothing any more: what is written now is lost by a promotion. */
  cutReplica(): Promise<void>;
  /** Kills the primary; the replica answers in its place, at its address. */
  promote(): Promise<void>;
  stop(): Promise<void>;
}

const syncWithinMs = 20_000;
/** Otherwise a primary waits five seconds for more replicas to come. */
const quick = ["--repl-diskless-sync-delay", "0"];

/** Starts both; settles when the replica has everything. */
export async function startRedisPair(args: readonly string[] = []): Promise<RedisPair> {
  const port = String(await freePort());
  const primary = await startPrivateRedis(["--port", port, ...quick, ...args]);
  const replica = await startPrivateRedis([...args, "--replicaof", "127.0.0.1", port]);
  const direct = new Redis(pathOf(replica.url), { maxRetriesPerRequest: null });
  await untilSynced(direct);
  return {
    url: primary.url,
    primary,
    cutReplica: async () => {
      await direct.replicaof("NO", "ONE");
    },
    promote: async () => {
      await direct.replicaof("NO", "ONE");
      await primary.kill();
      await rename(pathOf(replica.url), pathOf(primary.url));
    },
    stop: async () => {
      direct.disconnect();
      await primary.stop();
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

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
