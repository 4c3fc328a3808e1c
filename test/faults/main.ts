// SPDX-License-Identifier: Apache-2.0
// `pnpm test:faults [NAME ...] [--seed S] [--seconds N]`: harms a real installation and judges what its tasks saw.

import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { chanceOf, type Report, type Scenario } from "./scenario.ts";
import { killAgents, killEverything, killRedis, killServices } from "./scenarios/kills.ts";
import { outage200, outage1000 } from "./scenarios/outages.ts";
import { partitionsAbort, partitionsContinue, partitionsHeld } from "./scenarios/partitions.ts";
import { pauseAgent, pauseAgentAbort, pauseRunner } from "./scenarios/pauses.ts";
import { flushAll, promotion } from "./scenarios/redis-losses.ts";
import { registryCut } from "./scenarios/registry-cut.ts";
import { siteCut31, siteCut240 } from "./scenarios/site-cut.ts";

const scenarios: readonly Scenario[] = [
  killServices,
  killAgents,
  killRedis,
  killEverything,
  pauseAgent,
  pauseAgentAbort,
  pauseRunner,
  partitionsContinue,
  partitionsAbort,
  partitionsHeld,
  outage200,
  outage1000,
  flushAll,
  promotion,
  registryCut,
  siteCut31,
  siteCut240,
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: "string", default: "1" },
    seconds: { type: "string", default: "60" },
    out: { type: "string" },
    list: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false },
  },
});

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** What was wrong with a run; nothing when it is good. */
function problemsOf({ judgement, harm, broken = [] }: Report): string[] {
  const took = Object.values(harm).some((times) => times > 0);
  return [
    ...(took ? [] : ["invalid: no fault took effect"]),
    ...(judgement.figures.tasks > 0 ? [] : ["invalid: no task was submitted"]),
    ...judgement.violations.map(({ invariant, task, what }) => `${invariant} ${task}: ${what}`),
    ...broken,
  ];
}

const chosen = positionals.length === 0 ? scenarios : positionals.map(scenarioOf);

function scenarioOf(name: string): Scenario {
  const found = scenarios.find((scenario) => scenario.name === name);
  if (found !== undefined) return found;
  say(`there is no scenario ${name}; known are ${scenarios.map((each) => each.name).join(", ")}`);
  return process.exit(2);
}

if (values.help) {
  say("pnpm test:faults [NAME ...]   runs the scenarios named, or all of them one after the other");
  say("  --seed S      what is harmed, and in which order (default 1)");
  say("  --seconds N   how long the harm of a scenario goes on (default 60)");
  say("  --out FILE    writes the figures there as JSON (default: standard output)");
  say("  --list        names the scenarios");
  process.exit(0);
}
if (values.list) {
  for (const { name, about } of scenarios) say(`${name.padEnd(28)} ${about}`);
  process.exit(0);
}

process.setMaxListeners(0);
const seed = Number(values.seed);
const results: Record<string, unknown> = {};
for (const { name, about, run } of chosen) {
  say(`${name} (seed ${seed}, ${values.seconds} s): ${about}`);
  const report = await run({
    chance: chanceOf(seed),
    seconds: Number(values.seconds),
    say: (line) => say(`  ${line}`),
  });
  const problems = problemsOf(report);
  results[name] = { harm: report.harm, ...report.judgement.figures, ...report.figures, problems };
  for (const problem of problems) say(`  PROBLEM ${problem}`);
  if (problems.length > 0) process.exitCode = 1;
  say(`${name}: ${problems.length} problems; ${JSON.stringify(results[name])}`);
}
const text = `${JSON.stringify({ seed, seconds: Number(values.seconds), results }, undefined, 2)}\n`;
if (values.out === undefined) process.stdout.write(text);
else writeFileSync(values.out, text);
process.exit();
