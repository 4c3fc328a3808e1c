// SPDX-License-Identifier: Apache-2.0
// The producer process of the Remex side: submits at the gateway over one HTTP/2 connection.

import { readFileSync } from "node:fs";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import type { TaskSpecSchema } from "@remex/proto/common/v1";
import { TaskService } from "@remex/proto/scheduler/v1";
import { Redis } from "ioredis";
import { countsKey, deployment } from "./remex-side.ts";
import { preciseWallMs, serveProducer, submitBounded, type Work } from "./side.ts";

interface Settings {
  readonly url: string;
  /** The key itself would be shown by the process list. */
  readonly keyFile: string;
  readonly socket: string;
  readonly work: Work;
}

const { url, keyFile, socket, work } = JSON.parse(process.argv[2] ?? "{}") as Settings;
const key = readFileSync(keyFile, "utf8").trim();
const transport = createGrpcTransport({
  baseUrl: url,
  interceptors: [
    (next) => (request) => {
      request.header.set("authorization", `Bearer ${key}`);
      return next(request);
    },
  ],
});
const tasks = createClient(TaskService, transport);
const redis = new Redis(socket);
const annotations = { text: "x".repeat(64) };
const spec: MessageInitShape<typeof TaskSpecSchema> =
  work === "true"
    ? { annotations, work: { case: "command", value: { argv: ["/bin/true"] } } }
    : { annotations, work: { case: "noop", value: {} } };
const mostWaiting = 1_000;
const run = `${process.pid}-${Date.now()}`;
let number = 0;

async function submit(count: number): Promise<string[]> {
  const { results } = await tasks.submitTasks({
    deployment,
    tasks: Array.from({ length: count }, () => ({ idempotencyKey: `${run}-${number++}`, spec })),
  });
  return results.map(({ task, refusal }) => {
    if (refusal !== undefined) throw new Error(refusal.message);
    return task;
  });
}

/** When the work began by the runner's clock, in whole ms; waits for the end first. */
async function startedAtMs(task: string): Promise<number> {
  for (;;) {
    const { task: read } = await tasks.getTask({ deployment, task });
    const at = read?.attempt?.outcome?.startedAt;
    if (at !== undefined) return timestampMs(at);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

serveProducer({
  submit: (count) =>
    submitBounded(
      count,
      mostWaiting,
      async (_from, batch) => void (await submit(batch)),
      async () => Number(await redis.hget(countsKey, "QUEUED")),
    ),
  async latencies(samples) {
    const found: number[] = [];
    // The runner's clock shows whole milliseconds: half of one is added, which is right on average
    // since the samples have no phase in common with it. `skew` sets both clocks to one zero.
    let skew = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < samples; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 10));
      skew = Math.max(skew, Date.now() - preciseWallMs());
      const submittedAt = preciseWallMs();
      const [task = ""] = await submit(1);
      found.push((await startedAtMs(task)) + 0.5 - submittedAt);
    }
    return found.map((latency) => latency - skew);
  },
});
