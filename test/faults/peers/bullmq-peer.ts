// SPDX-License-Identifier: Apache-2.0
// Two BullMQ workers at their defaults.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startPrivateRedis } from "@remex/store/testing";
import { Queue } from "bullmq";
import { createTempDir } from "../../kit/places.ts";
import { startProgram } from "../../kit/program.ts";
import type { Peer } from "./peer.ts";
import { kill, treeOf } from "./processes.ts";

const queueName = "faults";
const taskFile = fileURLToPath(new URL("../task.py", import.meta.url));
const workerFile = fileURLToPath(new URL("./bullmq-task-worker.ts", import.meta.url));

export async function startBullmqPeer(): Promise<Peer> {
  const folder = await createTempDir();
  const journals = join(folder.path, "journals");
  mkdirSync(journals);
  const redis = await startPrivateRedis();
  const socket = redis.url.slice("unix://".length);
  const workers = [1, 2].map(() =>
    startProgram(process.execPath, [workerFile, socket, queueName, taskFile, journals]),
  );
  await Promise.all(workers.map((worker) => worker.waitForOutput(/ready/)));
  const queue = new Queue(queueName, { connection: { path: socket } });
  return {
    name: "bullmq",
    journals,
    workers: () => workers.map(({ pid }) => pid),
    submit: async (tasks, seconds) => {
      await queue.addBulk(
        Array.from({ length: tasks }, () => ({ name: "run", data: { seconds } })),
      );
    },
    [Symbol.asyncDispose]: async () => {
      await queue.close();
      for (const worker of workers) for (const pid of treeOf(worker.pid)) kill(pid);
      await Promise.all(workers.map((worker) => worker.stop()));
      await redis.stop();
      await folder[Symbol.asyncDispose]();
    },
  };
}
