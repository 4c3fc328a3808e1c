// SPDX-License-Identifier: Apache-2.0
// Bundles the agent and its runner into dist/, two files that Node runs without node_modules.

import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

await build({
  entryPoints: { "remex-agent": here("src/main.ts"), "remex-runner": here("src/runner/main.ts") },
  outdir: here("dist"),
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node24",
  // Source text stays in memory: a small file is a small process.
  minify: true,
  // Packages in CommonJS ask for Node's own modules by require, which a module does not have.
  banner: {
    js: 'import{createRequire as remexRequire}from"node:module";const require=remexRequire(import.meta.url);',
  },
});
