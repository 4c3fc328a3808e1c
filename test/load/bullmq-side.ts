// SPDX-License-Identifier: Apache-2.0
// BullMQ under the same load: a worker process with concurrency 100, a producer, a Redis of its own.

import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { startPrivateRedis } from "@remex/store/testing";
import { Redis } from "ioredis";
import { type Side, startProducer, type Work } from "./side.ts";

export const queueName = "load";
export const concurrency = 100;

/** `unix:///path` as ioredis takes it. */
export function socketOf(url: string): string {
  return url.slice("unix://".length);
}

export async function startBullmqSide(work: Work): Promise<Side> {
  const redis = await startPrivateRedis();
  const socket = socketOf(redis.url);
  const worker = fork(fileURLToPath(new URL("./bullmq-worker.ts", import.meta.url)), [
    socket,
    work,
  ]);
  await once(worker, "message");
  const producer = await startProducer("./bullmq-producer.ts", { socket });
  const observer = new Redis(socket);
  return {
    name: "bullmq",
    parts: { worker: [worker.pid ?? 0], redis: [redis.pid], producer: [producer.pid] },
    ended: () => observer.zcard(`bull:${queueName}:completed`),
    producer,
    stop: async () => {
      observer.disconnect();
      producer.stop();
      worker.kill();
      await redis.stop();
    },
  };
}
