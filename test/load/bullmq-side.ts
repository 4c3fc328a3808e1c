// SPDX-License-Identifier: Apache-2.0
// BullMQ under the same load: worker processes with concurrency 100 in all, a producer, a Redis of its own.

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { startPrivateRedis } from "@remex/store/testing";
import { Redis } from "ioredis";
import { type Side, startProducer, type Work } from "./side.ts";

export const queueName = "load";
/** Work at once in all workers together: what ten agents of ten slots have. */
const concurrency = 100;

/** `unix:///path` as ioredis takes it. */
export function socketOf(url: string): string {
  return url.slice("unix://".length);
}

/** `workers` processes share the work: one is how it is fastest, ten is how many agents there are. */
export async function startBullmqSide(work: Work, workers = 1): Promise<Side> {
  const redis = await startPrivateRedis();
  const socket = socketOf(redis.url);
  const file = fileURLToPath(new URL("./bullmq-worker.ts", import.meta.url));
  const args = [socket, work, String(concurrency / workers)];
  const started = Array.from({ length: workers }, () => fork(file, args));
  await Promise.all(started.map((worker) => once(worker, "message")));
  const producer = await startProducer("./bullmq-producer.ts", { socket });
  const observer = new Redis(socket);
  return {
    name: workers === 1 ? "bullmq" : `bullmqWith${workers}Workers`,
    parts: {
      worker: started.map(({ pid }) => pid ?? 0),
      redis: [redis.pid],
      producer: [producer.pid],
    },
    ended: () => observer.zcard(`bull:${queueName}:completed`),
    producer,
    stop: async () => {
      observer.disconnect();
      producer.stop();
      for (const worker of started) worker.kill();
      await redis.stop();
    },
  };
}
