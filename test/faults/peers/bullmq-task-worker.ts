// SPDX-License-Identifier: Apache-2.0
// A BullMQ worker, everything at its defaults, whose jobs are the tasks that keep a journal.

import { spawn } from "node:child_process";
import { Worker } from "bullmq";

const [socket = "", queue = "", taskFile = "", journals = ""] = process.argv.slice(2);
let starts = 0;

const worker = new Worker<{ seconds: number }>(
  queue,
  (job) =>
    new Promise<void>((resolve, reject) => {
      starts += 1;
      const env = {
        ...process.env,
        REMEX_TASK: String(job.id),
        REMEX_ATTEMPT: `${process.pid}.${starts}`,
      };
      const args = ["-S", "-E", taskFile, journals, String(job.data.seconds)];
      const child = spawn("python3", args, { env, stdio: "ignore" });
      child.once("error", reject);
      child.once("exit", (code) => (code === 0 ? resolve() : reject(new Error(`code ${code}`))));
    }),
  { connection: { path: socket }, concurrency: 4 },
);
await worker.waitUntilReady();
process.stdout.write("ready\n");
