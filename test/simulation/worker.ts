// SPDX-License-Identifier: Apache-2.0
// One of the processes that share the seeds of a run: takes a seed, runs it, tells how it went, takes the next.

import { startRedisEngine } from "./redis/redis-engine.ts";
import { runSeed, type SeedResult } from "./run-seed.ts";

/** What is asked of a worker; nothing more to do is said by the end of the channel. */
export interface SeedRequest {
  readonly seed: number;
}

const engine = await startRedisEngine();
const bench = { engine, loadedLibraries: new Set<string>() };

process.on("message", ({ seed }: SeedRequest) => {
  runSeed(bench, seed, "digest").then(
    (result: SeedResult) => process.send?.(result),
    (error: unknown) => {
      process.send?.(brokenSeed(seed, error));
    },
  );
});
process.on("disconnect", () => void engine.stop().then(() => process.exit(0)));
process.send?.("ready");

function brokenSeed(seed: number, error: unknown): SeedResult {
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    ...{ seed, digest: "", facts: 0, steps: 0, simulatedMs: 0, faults: 0, lines: [] },
    violations: [{ rule: "simulation", atMs: 0, what }],
  };
}
