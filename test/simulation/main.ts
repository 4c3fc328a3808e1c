// SPDX-License-Identifier: Apache-2.0
// `pnpm simulate`: runs seeds and says how many invariants were violated.

import { parseArgs } from "node:util";
import { startRedisEngine } from "./redis/redis-engine.ts";
import { runSeed } from "./run-seed.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    start: { type: "string", default: "1" },
    trace: { type: "boolean", default: false },
    events: { type: "boolean", default: false },
  },
});

const engine = await startRedisEngine();
const bench = { engine, loadedLibraries: new Set<string>() };
const keep = values.events ? "events" : values.trace ? "facts" : "digest";
let violations = 0;
const first = Number(values.start);
const count = Number(values.seeds);
for (let seed = first; seed < first + count; seed++) {
  const startedAt = process.hrtime.bigint();
  const result = await runSeed(bench, seed, keep);
  for (const line of result.lines) process.stdout.write(`${line}\n`);
  for (const { rule, atMs, what } of result.violations) {
    process.stdout.write(`seed ${seed}: ${rule} at ${atMs.toFixed(0)} ms: ${what}\n`);
  }
  violations += result.violations.length;
  const ms = Number(process.hrtime.bigint() - startedAt) / 1e6;
  if (count <= 20)
    process.stdout.write(
      `seed ${seed}: ${result.digest} ${result.faults} faults ${result.facts} facts ${result.simulatedMs.toFixed(0)} sim ms ${result.steps} steps ${ms.toFixed(0)} ms\n`,
    );
}
await engine.stop();
process.stdout.write(`simulate: ${count} seeds, ${violations} violations\n`);
