#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The remex command: ties the process to one run of it.

import { createInterface } from "node:readline/promises";
import { runCommand } from "./run.ts";
import type { World } from "./world.ts";

/** A reader that has enough (`remex tasks list | head`) is no error. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

const world: World = {
  env: process.env,
  nowMs: () => Date.now(),
  write: (text) =>
    new Promise((resolve, reject) => {
      process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
    }),
  tell: (text) => void process.stderr.write(text),
  readStdin: async () => {
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks).toString("utf8");
  },
  ask: async (question) => {
    if (!process.stdin.isTTY) return undefined;
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return await lines.question(question);
    } finally {
      lines.close();
    }
  },
  onInterrupt: () => {
    const abort = new AbortController();
    const onSignal = () => abort.abort();
    process.once("SIGINT", onSignal);
    return { signal: abort.signal, release: () => process.off("SIGINT", onSignal) };
  },
};

const exitCode = await runCommand(process.argv.slice(2), world);
// Kept connections would hold the process for seconds; everything written has been handed over.
if (exitCode !== undefined) process.exit(exitCode);
