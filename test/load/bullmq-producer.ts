// SPDX-License-Identifier: Apache-2.0
// The producer process of the BullMQ side.

import { Queue, QueueEvents } from "bullmq";
import { queueName } from "./bullmq-side.ts";
import { preciseWallMs, serveProducer, submitBounded } from "./side.ts";

const { socket } = JSON.parse(process.argv[2] ?? "{}") as { socket: string };
const connection = { path: socket };
const queue = new Queue(queueName, { connection });
await queue.waitUntilReady();
const payload = { text: "x".repeat(64) };
const mostWaiting = 1_000;

serveProducer({
  submit: (tasks) =>
    submitBounded(
      tasks,
      mostWaiting,
      async (_from, count) => {
        await queue.addBulk(Array.from({ length: count }, () => ({ name: "load", data: payload })));
      },
      () => queue.getWaitingCount(),
    ),
  async latencies(samples) {
    const events = new QueueEvents(queueName, { connection });
    await events.waitUntilReady();
    const found: number[] = [];
    for (let i = 0; i < samples; i++) {
      await pause();
      const submittedAt = preciseWallMs();
      const job = await queue.add("load", payload);
      found.push(Number(await job.waitUntilFinished(events)) - submittedAt);
    }
    await events.close();
    return found;
  },
});

/** An idle system, and no phase of a timer in common with it. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 10));
}
