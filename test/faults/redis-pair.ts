// SPDX-License-Identifier: Apache-2.0
// A primary and a replica of Redis behind one address, where the replica can be behind when it takes over.

import { type PrivateRedis, startPrivateRedis } from "@remex/store/testing";
import { Redis } from "ioredis";
import { findFreePort } from "../kit/places.ts";
import { waitFor } from "../kit/wait.ts";
import { sleepMs } from "./scenario.ts";
import { startTcpProxy } from "./tcp-proxy.ts";

export interface RedisPair extends AsyncDisposable {
  /** What services connect to, whichever server is the primary. */
  readonly url: string;
  /** Holds replication back for so long, kills the primary and promotes the replica. Answers lost bytes. */
  promote(behindMs: number): Promise<number>;
}

interface Server {
  readonly redis: PrivateRedis;
  readonly port: number;
}

const settings = ["--repl-diskless-sync-delay", "0", "--repl-backlog-size", "1mb"];

async function startServer(): Promise<Server> {
  const port = await findFreePort();
  return { port, redis: await startPrivateRedis(["--port", String(port), ...settings]) };
}

async function ask<Answer>(
  server: Server,
  run: (redis: Redis) => Promise<Answer>,
): Promise<Answer> {
  const redis = new Redis(server.port, "127.0.0.1");
  redis.on("error", () => undefined);
  try {
    return await run(redis);
  } finally {
    redis.disconnect();
  }
}

async function offsetOf(server: Server): Promise<number> {
  const info = await ask(server, (redis) => redis.info("replication"));
  const role = /role:(\w+)/.exec(info)?.[1];
  const name = role === "slave" ? "slave_repl_offset" : "master_repl_offset";
  return Number(new RegExp(`${name}:(\\d+)`).exec(info)?.[1] ?? 0);
}

export async function startRedisPair(): Promise<RedisPair> {
  let primary = await startServer();
  let replica = await startServer();
  const door = await startTcpProxy([primary.port]);
  const replication = await startTcpProxy([primary.port]);

  async function follow(): Promise<void> {
    replication.setTargets([primary.port]);
    replication.cutConnections();
    await ask(replica, (redis) => redis.replicaof("127.0.0.1", replication.port));
    await waitFor(
      async () =>
        (await ask(replica, (redis) => redis.info("replication"))).includes("link_status:up"),
      { what: "a replica that follows" },
    );
  }
  await follow();

  return {
    url: `redis://127.0.0.1:${door.port}`,
    promote: async (behindMs) => {
      replication.setWeather("cutToClient");
      await sleepMs(behindMs);
      const written = await offsetOf(primary);
      await primary.redis.stop();
      const lost = written - (await offsetOf(replica));
      await ask(replica, (redis) => redis.replicaof("NO", "ONE"));
      primary = replica;
      door.setTargets([primary.port]);
      door.cutConnections();
      replication.setWeather("fair");
      replica = await startServer();
      await follow();
      return lost;
    },
    [Symbol.asyncDispose]: async () => {
      await door[Symbol.asyncDispose]();
      await replication[Symbol.asyncDispose]();
      await primary.redis.stop();
      await replica.redis.stop();
    },
  };
}
