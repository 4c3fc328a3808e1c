// SPDX-License-Identifier: Apache-2.0
// Brings the checkout to the point where our own programs can run, then hands over to one of them on Node 24.

import path from "node:path";
import { pathToFileURL } from "node:url";
import { handOver } from "./child.mjs";
import { withLock } from "./lock.mjs";
import { ensurePackages } from "./packages.mjs";
import { runMain, say } from "./progress.mjs";
import {
  ensureToolchain,
  nodeCommand,
  rootDir,
  stateDir,
  toolchainEnvironment,
} from "./toolchain.mjs";

export function bootstrap() {
  return withLock(path.join(stateDir, "install.lock"), async () => {
    await ensureToolchain();
    await ensurePackages();
  });
}

/**
 * @param {string} script path inside the checkout @param {string[]} args
 * @returns {Promise<number>} its exit code
 */
export async function bootstrapAndRun(script, args) {
  await bootstrap();
  return handOver(nodeCommand(), [path.join(rootDir, script), ...args], {
    cwd: rootDir,
    env: toolchainEnvironment(),
  });
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await runMain(async () => {
    await bootstrap();
    const parts = toolchainEnvironment().PATH.split(path.delimiter).slice(0, 3);
    say(`ready; to use the tools by hand: export PATH="${parts.join(path.delimiter)}:$PATH"`);
    return 0;
  });
}
