// SPDX-License-Identifier: Apache-2.0
// `pnpm model [--small|--big|--all] [--record] [NAME]`: runs the protocol's models and compares every verdict with the table.

import { say } from "../launch/progress.mjs";
import { writePage } from "./page.ts";
import { runVariant, trailFile, whatIsMissing } from "./spin.ts";
import { labelOf, readTable, type Variant, writeTable } from "./verdicts.ts";

const words = process.argv.slice(2).filter((word) => word !== "--");
const record = words.includes("--record");
const big = words.includes("--all") || words.includes("--big");
const small = !words.includes("--big");
const names = words.filter((word) => !word.startsWith("--"));

function isChosen(variant: Variant): boolean {
  if (variant.size === "big" ? !big : !small) return false;
  const label = labelOf(variant);
  return names.length === 0 || names.some((name) => label === name || variant.model === name);
}

/** Runs what is chosen; returns the table with what was found, and how many verdicts differ. */
async function runChosen(table: readonly Variant[]) {
  const found: Variant[] = [];
  let differing = 0;
  for (const variant of table) {
    if (!isChosen(variant)) {
      found.push(variant);
      continue;
    }
    const outcome = await runVariant(variant);
    const same = outcome.verdict === variant.verdict;
    if (!same) differing += 1;
    const { states, seconds } = outcome.found;
    const wanted = same ? "" : `, NOT ${variant.verdict}; trail, if any: ${trailFile(variant)}`;
    say(`${labelOf(variant)}: ${outcome.verdict}${wanted} (${states} states, ${seconds} s)`);
    found.push(same ? { ...variant, found: outcome.found } : variant);
  }
  return { found, differing };
}

const missing = whatIsMissing();
if (missing !== undefined) {
  say(`the models were not run: ${missing}`);
  process.exitCode = 2;
} else {
  const { found, differing } = await runChosen(readTable());
  if (record) {
    writeTable(found);
    writePage(found);
  }
  say(
    differing === 0 ? "models: every verdict is as the table says" : `models: ${differing} differ`,
  );
  process.exitCode = differing === 0 ? 0 : 1;
}
