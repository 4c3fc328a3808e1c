// SPDX-License-Identifier: Apache-2.0
// Runs many seeds in several processes, each with a Redis of its own, and tells of each as it ends.

import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { SeedResult } from "./run-seed.ts";

export interface SeedsWish {
  readonly first: number;
  readonly count: number;
  readonly workers: number;
  /** Name of the rule that is taken out; see mutants.ts. */
  readonly mutant?: string;
  /** Called with each seed's result; false ends the run. */
  onResult(result: SeedResult): boolean;
}

const workerFile = fileURLToPath(new URL("./worker.ts", import.meta.url));
const hooksFile = new URL("./hooks.ts", import.meta.url).href;

/** Settles when all seeds have run, or the run was ended. */
export async function runSeeds(wish: SeedsWish): Promise<void> {
  const last = wish.first + wish.count;
  let next = wish.first;
  let ended = false;

  function work(): Promise<void> {
    const worker = startWorker(wish.mutant);
    return new Promise((resolve, reject) => {
      const give = (): void => {
        if (ended || next >= last) worker.disconnect();
        else worker.send({ seed: next++ });
      };
      worker.on("message", (message: "ready" | SeedResult) => {
        if (message !== "ready" && !ended) ended = !wish.onResult(message);
        give();
      });
      worker.once("error", reject);
      worker.once("exit", (code) => {
        if (code === 0) resolve();
        else reject(new Error(`a worker of the simulation ended with code ${code}`));
      });
    });
  }

  await Promise.all(Array.from({ length: Math.min(wish.workers, wish.count) }, work));
}

function startWorker(mutant: string | undefined): ChildProcess {
  const env = mutant === undefined ? process.env : { ...process.env, REMEX_MUTANT: mutant };
  return fork(workerFile, [], { execArgv: ["--import", hooksFile], env });
}
