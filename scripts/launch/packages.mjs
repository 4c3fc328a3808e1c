// SPDX-License-Identifier: Apache-2.0
// Installs the workspace's packages when the lockfile or a manifest has changed since the last time.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { runQuietly } from "./child.mjs";
import { LaunchError, step } from "./progress.mjs";
import { pnpmCommand, rootDir, stateDir, toolchainEnvironment } from "./toolchain.mjs";

const stampFile = path.join(stateDir, "packages.stamp");

/** @returns {string[]} every folder that can be a workspace package, relative to the checkout */
export function packageFolders() {
  const parents = ["packages", "services"].filter((name) => existsSync(path.join(rootDir, name)));
  const children = parents.flatMap((name) =>
    readdirSync(path.join(rootDir, name))
      .sort()
      .map((child) => path.join(name, child)),
  );
  return [".", "proto", "test", ...children];
}

/** @returns {string[]} the files that say what is to be installed */
function manifests() {
  return packageFolders()
    .map((folder) => path.join(rootDir, folder, "package.json"))
    .filter((file) => existsSync(file));
}

function currentStamp() {
  const hash = createHash("sha256");
  const files = ["pnpm-lock.yaml", "pnpm-workspace.yaml"].map((name) => path.join(rootDir, name));
  for (const file of [...files, ...manifests()]) hash.update(file).update(readFileSync(file));
  return hash.digest("hex");
}

function isCurrent() {
  const complete = path.join(rootDir, "node_modules", ".modules.yaml");
  return (
    existsSync(complete) &&
    existsSync(stampFile) &&
    readFileSync(stampFile, "utf8") === currentStamp()
  );
}

async function installPackages() {
  const run = await runQuietly(pnpmCommand(), ["install", "--frozen-lockfile"], {
    cwd: rootDir,
    // With CI set, pnpm never stops to ask.
    env: { ...toolchainEnvironment(), CI: "true" },
  });
  if (run.code !== 0) {
    throw new LaunchError(
      `pnpm could not install the packages:\n${run.output.trim()}`,
      "if the lockfile is out of date run `pnpm install` and commit it; else check that the npm registry can be reached",
    );
  }
}

export async function ensurePackages() {
  if (isCurrent()) return;
  await step("installing packages with pnpm", installPackages);
  mkdirSync(stateDir, { recursive: true });
  writeFileSync(stampFile, currentStamp());
}
