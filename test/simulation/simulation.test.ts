// SPDX-License-Identifier: Apache-2.0
// The real services, agents and runners in a simulated world: many seeds, no invariant violated.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** Seeds of an ordinary test run; `pnpm simulate --seeds N` runs more. */
const seeds = 500;

function simulate(
  ...args: string[]
): Promise<{ readonly lines: string[]; readonly code: number | null }> {
  const argv = ["--import", here("hooks.ts"), here("main.ts"), ...args];
  const child = spawn(process.execPath, argv, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (piece: Buffer) => {
    text += piece.toString();
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ lines: text.trimEnd().split("\n"), code }));
  });
}

async function traceOf(seed: number): Promise<string> {
  const { lines } = await simulate("--seeds", "1", "--start", String(seed), "--trace");
  return lines.find((line) => line.startsWith(`seed ${seed}: trace`)) ?? "no trace";
}

describe("the simulation", () => {
  it("the same seed gives the same trace, another seed another", async () => {
    const first = await traceOf(11);
    expect(first).toMatch(/^seed 11: trace [0-9a-f]{16}, /);
    expect(await traceOf(11)).toBe(first);
    expect((await traceOf(12)).replace("seed 12", "seed 11")).not.toBe(first);
  });

  it("I1, I2, I3, I4, I5, I6, I7, I8, I9, I10, I13, I14, I15, I17, I19, I20: 500 seeds violate none", async () => {
    const { lines, code } = await simulate("--seeds", String(seeds));
    expect(lines.slice(-20)).toEqual([`simulate: ${seeds} seeds, 0 violations`]);
    expect(code).toBe(0);
  });
});
