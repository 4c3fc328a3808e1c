// SPDX-License-Identifier: Apache-2.0
// Proves that the client can be bundled for a browser: nothing in it needs Node.

import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { expect, test } from "vitest";

test("the client is browser-safe", async () => {
  const entry = fileURLToPath(new URL("./index.ts", import.meta.url));
  const bundle = await build({
    entryPoints: [entry],
    bundle: true,
    platform: "browser",
    format: "esm",
    write: false,
    metafile: true,
    logLevel: "silent",
  });
  expect(bundle.errors).toEqual([]);
  const inputs = Object.keys(bundle.metafile.inputs);
  expect(inputs.some((input) => input.includes("connect-node"))).toBe(false);
});
