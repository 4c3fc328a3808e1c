// SPDX-License-Identifier: Apache-2.0
// Two Celery workers at their defaults, in a virtual environment of their own.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startPrivateRedis } from "@remex/store/testing";
import { createTempDir } from "../../kit/places.ts";
import { startProgram } from "../../kit/program.ts";
import type { Peer } from "./peer.ts";
import { kill, treeOf } from "./processes.ts";

const folderOfCode = fileURLToPath(new URL(".", import.meta.url));
const taskFile = fileURLToPath(new URL("../task.py", import.meta.url));
const environment = fileURLToPath(new URL("../../../.remex/celery-venv", import.meta.url));
const celeryVersion = "5.6.0";

/** The environment is made once, inside the checkout. */
function ensureCelery(): string {
  const python = join(environment, "bin", "python");
  if (!existsSync(join(environment, "bin", "celery"))) {
    execFileSync("python3", ["-m", "venv", environment], { stdio: "inherit" });
    const wanted = [`celery[redis]~=${celeryVersion}`];
    execFileSync(python, ["-m", "pip", "install", "--quiet", ...wanted], { stdio: "inherit" });
  }
  return python;
}

export async function startCeleryPeer(): Promise<Peer> {
  const python = ensureCelery();
  const folder = await createTempDir();
  const journals = join(folder.path, "journals");
  mkdirSync(journals);
  const redis = await startPrivateRedis();
  const env = {
    ...process.env,
    PEER_BROKER: `redis+socket://${redis.url.slice("unix://".length)}`,
    PEER_TASK: taskFile,
    PEER_JOURNALS: journals,
  };
  const celery = ["-m", "celery", "--app", "celery_tasks", "worker", "--concurrency", "4"];
  const workers = ["one", "two"].map((name) =>
    startProgram(python, [...celery, "--hostname", name], { env, cwd: folderOfCode }),
  );
  await Promise.all(workers.map((worker) => worker.waitForOutput(/\[queues\]/)));
  return {
    name: "celery",
    journals,
    workers: () => workers.map(({ pid }) => pid),
    submit: async (tasks, seconds) => {
      const input = Array.from({ length: tasks }, (_, i) => `task-${i} ${seconds}\n`).join("");
      const submitter = startProgram(python, ["celery_tasks.py"], {
        env,
        cwd: folderOfCode,
        input,
      });
      await submitter.waitForOutput(/submitted/);
      await submitter.stop();
    },
    [Symbol.asyncDispose]: async () => {
      for (const worker of workers) for (const pid of treeOf(worker.pid)) kill(pid);
      await Promise.all(workers.map((worker) => worker.stop()));
      await redis.stop();
      await folder[Symbol.asyncDispose]();
    },
  };
}
