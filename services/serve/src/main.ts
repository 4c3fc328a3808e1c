#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Starts the control plane without the rest of the CLI.

import { serve } from "./serve.ts";

const code = await serve({
  argv: process.argv.slice(2),
  env: process.env,
  name: "remex serve",
});
if (code !== undefined) process.exit(code);
