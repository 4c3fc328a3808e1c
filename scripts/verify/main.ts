// SPDX-License-Identifier: Apache-2.0
// `pnpm verify`: every check of this repository in one run, which goes on after a failure and ends with one line.

import { LaunchError, say } from "../launch/progress.mjs";
import { ensureAirflowVenv } from "../tools/python.ts";
import { findRedisServer } from "../tools/redis-binary.ts";
import { generatedCode } from "./generated.ts";
import { pythonSuites } from "./python-suite.ts";
import { check, freshReport, runShown, type Suite } from "./suite.ts";
import {
  addTallies,
  emptyTally,
  type Tally,
  tallyExitCode,
  tallyLine,
  tallyVitest,
} from "./tally.ts";

function vitestSuite(title: string, projects: readonly string[]): Suite {
  return {
    title,
    run: async () => {
      const report = freshReport(`vitest-${projects[0]}.json`);
      const chosen = projects.flatMap((name) => ["--project", name]);
      const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
      const code = await runShown("vitest", ["run", "--passWithNoTests", ...chosen, ...reporters]);
      return tallyVitest(report, code);
    },
  };
}

/** What the tests start; found before them, so that no test waits for a download. */
const preparations: Suite = {
  title: "what the tests need is installed",
  run: async () => {
    process.env.REMEX_REDIS_SERVER ??= await findRedisServer();
    process.env.REMEX_AIRFLOW_VENV ??= (await ensureAirflowVenv()).dir;
    return emptyTally;
  },
};

const suites: readonly Suite[] = [
  check("format", "biome", ["format", "."]),
  check("lint", "biome", ["lint", "--error-on-warnings", "."]),
  check("types", "tsc", ["--noEmit", "-p", "tsconfig.json"]),
  generatedCode,
  preparations,
  vitestSuite("unit, property and store tests", ["unit"]),
  vitestSuite("contract and integration tests", ["contract", "integration"]),
  vitestSuite("deterministic simulation", ["simulation"]),
  ...pythonSuites,
  vitestSuite("end-to-end tests", ["e2e"]),
];

async function runSuite(suite: Suite): Promise<Tally> {
  try {
    return await suite.run();
  } catch (error) {
    say(error instanceof LaunchError ? error.message : `${suite.title} broke: ${String(error)}`);
    return tallyExitCode(1);
  }
}

async function verify(): Promise<Tally> {
  let total = emptyTally;
  const failed: string[] = [];
  for (const [index, suite] of suites.entries()) {
    const startedMs = performance.now();
    say(`(${index + 1}/${suites.length}) ${suite.title}`);
    const tally = await runSuite(suite);
    const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
    say(`(${index + 1}/${suites.length}) ${suite.title}: ${tallyLine(tally)} (${seconds} s)`);
    if (tally.failed > 0) failed.push(suite.title);
    total = addTallies(total, tally);
  }
  if (failed.length > 0) say(`failed: ${failed.join("; ")}`);
  return total;
}

const total = await verify();
process.stdout.write(`\n${tallyLine(total)}\n`);
process.exitCode = total.failed === 0 ? 0 : 1;
