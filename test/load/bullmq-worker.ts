// SPDX-License-Identifier: Apache-2.0
// The worker process of the BullMQ side.

import { spawn } from "node:child_process";
import { Worker } from "bullmq";
import { queueName } from "./bullmq-side.ts";
import { endWithParent, preciseWallMs } from "./side.ts";

const [socket = "", work = "noop", concurrency = "100"] = process.argv.slice(2);

function runTrue(): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("/bin/true", { stdio: "ignore" });
    child.once("error", reject);
    child.once("exit", () => resolve());
  });
}

const worker = new Worker(
  queueName,
  async () => {
    const startedAt = preciseWallMs();
    if (work === "true") await runTrue();
    return startedAt;
  },
  { connection: { path: socket }, concurrency: Number(concurrency) },
);
endWithParent();
await worker.waitUntilReady();
process.send?.("ready");
