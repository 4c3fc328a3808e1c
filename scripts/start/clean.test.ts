// SPDX-License-Identifier: Apache-2.0
// Cleaning must not take what is not ours.

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { removeRun } from "./clean.ts";

test("a run's data goes, with its folder", () => {
  const dir = mkdtempSync(path.join(tmpdir(), "remex-clean-"));
  mkdirSync(path.join(dir, "logs"));
  writeFileSync(path.join(dir, "agent.token"), "");
  removeRun(dir);
  expect(existsSync(dir)).toBe(false);
});

test("what else lies in a folder that the user chose stays", () => {
  const dir = mkdtempSync(path.join(tmpdir(), "remex-clean-"));
  try {
    mkdirSync(path.join(dir, "logs"));
    writeFileSync(path.join(dir, "thesis.txt"), "");
    removeRun(dir);
    expect(existsSync(path.join(dir, "logs"))).toBe(false);
    expect(existsSync(path.join(dir, "thesis.txt"))).toBe(true);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
