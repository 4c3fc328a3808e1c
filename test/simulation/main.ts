// SPDX-License-Identifier: Apache-2.0
// `pnpm simulate`: runs seeds and says how many invariants were violated, and how to see a seed again.

import { parseArgs } from "node:util";
import { startRedisEngine } from "./redis/redis-engine.ts";
import { runSeed, type SeedResult } from "./run-seed.ts";
import { runSeeds } from "./run-seeds.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "500" },
    start: { type: "string", default: "1" },
    workers: { type: "string", default: "2" },
    trace: { type: "boolean", default: false },
    events: { type: "boolean", default: false },
    mutant: { type: "string" },
  },
});

const seeds = Number(values.seeds);
const first = Number(values.start);
let violations = 0;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function tell(result: SeedResult): boolean {
  for (const { rule, atMs, what } of result.violations) {
    say(`seed ${result.seed}: ${rule} violated at ${atMs.toFixed(0)} ms: ${what}`);
  }
  if (result.violations.length > 0) {
    say(`see it again: pnpm simulate --seeds 1 --start ${result.seed} --trace`);
  }
  violations += result.violations.length;
  return true;
}

/** One seed after the other in this process, with everything that happened. */
async function show(): Promise<void> {
  const engine = await startRedisEngine();
  const bench = { engine, loadedLibraries: new Set<string>() };
  for (let seed = first; seed < first + seeds; seed++) {
    const result = await runSeed(bench, seed, values.events ? "events" : "facts");
    for (const line of result.lines) say(line);
    const { digest, faults, simulatedMs, steps } = result;
    say(
      `seed ${seed}: trace ${digest}, ${faults} faults, ${simulatedMs.toFixed(0)} ms, ${steps} events`,
    );
    tell(result);
  }
  await engine.stop();
}

if (values.trace || values.events) await show();
else {
  const { mutant } = values;
  const wish = { first, count: seeds, workers: Number(values.workers), onResult: tell };
  await runSeeds(mutant === undefined ? wish : { ...wish, mutant });
}
say(`simulate: ${seeds} seeds, ${violations} violations`);
process.exitCode = violations === 0 ? 0 : 1;
