// SPDX-License-Identifier: Apache-2.0
// `pnpm load:latency`: submit to started on an idle system, beside BullMQ, in interleaved rounds, as JSON.

import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { startBullmqSide } from "./bullmq-side.ts";
import { startRemexSide } from "./remex-side.ts";
import { median, quantile, type Side } from "./side.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    samples: { type: "string", default: "300" },
  },
});
const samples = Number(values.samples);
const warmUp = 500;

// Each program of a side ends with this process, by a listener of its own.
process.setMaxListeners(0);

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}

const sides: Side[] = [await startRemexSide("noop"), await startBullmqSide("noop")];
const rounds = new Map<string, number[][]>(sides.map(({ name }) => [name, []]));
try {
  for (const side of sides) {
    await side.producer.submit(2_000);
    await side.producer.latencies(warmUp);
  }
  for (let i = 0; i < Number(values.rounds); i++) {
    for (const side of sides) {
      rounds.get(side.name)?.push(await side.producer.latencies(samples));
    }
  }
} finally {
  await Promise.all(sides.map((side) => side.stop()));
}
const found = [...rounds].map(([name, own]) => {
  const p50 = hundredths(median(own.map((each) => quantile(each, 0.5))));
  const p99 = hundredths(median(own.map((each) => quantile(each, 0.99))));
  return [name, { p50Ms: p50, p99Ms: p99, runs: own.map((e) => hundredths(quantile(e, 0.5))) }];
});
console.log(
  JSON.stringify(
    { load: loadavg(), node: process.version, samples, ...Object.fromEntries(found) },
    undefined,
    2,
  ),
);
process.exit(0);
