// SPDX-License-Identifier: Apache-2.0
// `pnpm simulate:mutants`: takes one rule after the other out of the code, and says by which seed it is missed.

import { parseArgs } from "node:util";
import { mutantNamed } from "./mutate.ts";
import { type Mutant, mutants } from "./mutants.ts";
import type { SeedResult } from "./run-seed.ts";
import { runSeeds } from "./run-seeds.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: "string", default: "2000" },
    start: { type: "string", default: "1" },
    workers: { type: "string", default: "2" },
  },
});

interface Found {
  readonly seed: number;
  readonly rule: string;
  readonly what: string;
}

/** The first violation that a mutant causes; undefined when no seed shows one. */
async function hunt(mutant: Mutant): Promise<{ found: Found | undefined; ran: number }> {
  let found: Found | undefined;
  let ran = 0;
  await runSeeds({
    first: Number(values.start),
    count: Number(values.seeds),
    workers: Number(values.workers),
    mutant: mutant.name,
    onResult: ({ seed, violations: [violation] }: SeedResult) => {
      ran += 1;
      if (violation === undefined || found !== undefined) return found === undefined;
      found = { seed, ...violation };
      return false;
    },
  });
  return { found, ran };
}

const chosen = positionals.length === 0 ? mutants : positionals.map(mutantNamed);
let missed = 0;
let known = 0;
for (const mutant of chosen) {
  const { found, ran } = await hunt(mutant);
  if (found === undefined && mutant.unnoticed === undefined) missed += 1;
  if (found === undefined && mutant.unnoticed !== undefined) known += 1;
  process.stdout.write(
    `${mutant.rule.padEnd(4)} ${mutant.name.padEnd(32)} ${outcomeOf(mutant, found, ran)}\n`,
  );
}
const found = chosen.length - missed - known;
process.stdout.write(
  `mutants: ${chosen.length} rules taken out, ${found} found, ${known} not found for a known reason, ${missed} missed\n`,
);
process.exitCode = missed === 0 ? 0 : 1;

function outcomeOf({ unnoticed }: Mutant, found: Found | undefined, ran: number): string {
  if (found !== undefined) {
    return `found after ${ran} seeds (seed ${found.seed}, ${found.rule}: ${found.what.split("\n")[0]})`;
  }
  return `not found in ${ran} seeds${unnoticed === undefined ? "" : `: ${unnoticed}`}`;
}
