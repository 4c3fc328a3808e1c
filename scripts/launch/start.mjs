// SPDX-License-Identifier: Apache-2.0
// `npm start`: installs what is missing, then runs the whole system with its sample work.

import { existsSync } from "node:fs";
import { bootstrapAndRun } from "./bootstrap.mjs";
import { runMain, say } from "./progress.mjs";
import { stateDir } from "./toolchain.mjs";

const args = process.argv.slice(2);

await runMain(() => {
  if (args.includes("--clean") && !existsSync(stateDir)) {
    say("there is nothing to remove");
    return Promise.resolve(0);
  }
  return bootstrapAndRun("scripts/start/main.ts", args);
});
