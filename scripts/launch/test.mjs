// SPDX-License-Identifier: Apache-2.0
// `npm test`: installs what is missing, then runs every check that an ordinary machine can run.

import { bootstrapAndRun } from "./bootstrap.mjs";
import { runMain } from "./progress.mjs";

await runMain(() => bootstrapAndRun("scripts/verify/main.ts", process.argv.slice(2)));
