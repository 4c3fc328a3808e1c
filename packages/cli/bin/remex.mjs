#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Starts the remex command from source; its only own work is to refuse a Node that cannot.

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `error: remex needs Node 24, this is ${process.version}\nhint: run it with the Node that \`npm start\` installed, or install Node 24\n`,
  );
  process.exitCode = 1;
} else {
  await import("../src/main.ts");
}
