// SPDX-License-Identifier: Apache-2.0
// `npm start`: installs what is missing, then runs the whole system with its sample work.

import { bootstrapAndRun } from "./bootstrap.mjs";
import { runMain } from "./progress.mjs";

await runMain(() => bootstrapAndRun("scripts/start/main.ts", process.argv.slice(2)));
