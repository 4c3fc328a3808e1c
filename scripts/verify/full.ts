// SPDX-License-Identifier: Apache-2.0
// `pnpm test:full -- NAME`: what is too long, or needs too much of a machine, for every run of CI.

import { say } from "../launch/progress.mjs";
import { runShown } from "./suite.ts";

/** By name: the programs that are run, one after the other. */
const runs: Readonly<Record<string, readonly (readonly [string, ...string[]])[]>> = {
  load: [
    ["node", "test/load/tasks.ts"],
    ["node", "test/load/latency.ts"],
    ["node", "test/load/memory.ts"],
  ],
  faults: [["node", "test/faults/main.ts"]],
  model: [["node", "scripts/model/main.ts", "--all"]],
};

const [name = ""] = process.argv.slice(2).filter((word) => word !== "--");
const chosen = runs[name];
if (chosen === undefined) {
  say(`there is no run ${JSON.stringify(name)}; known are ${Object.keys(runs).join(", ")}`);
  process.exitCode = 2;
} else {
  for (const [program, ...args] of chosen) {
    const code = await runShown(program, args);
    if (code !== 0) process.exitCode = code;
  }
}
