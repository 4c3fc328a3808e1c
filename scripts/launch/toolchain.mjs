// SPDX-License-Identifier: Apache-2.0
// Makes sure of Node 24 and of the one pnpm version we use, inside the checkout; needs only Node 18 and npm.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { cleanEnvironment, runQuietly } from "./child.mjs";
import { LaunchError, step } from "./progress.mjs";

export const rootDir = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
export const stateDir = path.join(rootDir, ".remex");

const toolchainDir = path.join(stateDir, "toolchain");
const binDir = path.join(toolchainDir, "node_modules", ".bin");
const oldestNodeMajor = 24;
const nodeVersion = "24.21.0";
const pnpmVersion = "12.21.0";

/** @param {string} name @returns {string | undefined} the version installed in the toolchain folder */
function installedVersion(name) {
  const manifest = path.join(toolchainDir, "node_modules", name, "package.json");
  return existsSync(manifest) ? JSON.parse(readFileSync(manifest, "utf8")).version : undefined;
}

function runningNodeFits() {
  return Number(process.versions.node.split(".")[0]) >= oldestNodeMajor;
}

/** @returns {string[]} what the toolchain folder still lacks, as npm package specifiers */
function missingPackages() {
  const wanted = [{ name: "pnpm", version: pnpmVersion }];
  if (!runningNodeFits()) wanted.push({ name: "node", version: nodeVersion });
  return wanted
    .filter(
      ({ name, version }) =>
        installedVersion(name) !== version || !existsSync(path.join(binDir, name)),
    )
    .map(({ name, version }) => `${name}@${version}`);
}

/** npm as it was called, so that one that is not on PATH still works. */
function npmCommand() {
  const script = process.env.npm_execpath;
  if (script?.endsWith("npm-cli.js")) return { command: process.execPath, args: [script] };
  return { command: "npm", args: [] };
}

/** @param {string[]} packages */
async function installPackages(packages) {
  mkdirSync(toolchainDir, { recursive: true });
  const manifest = path.join(toolchainDir, "package.json");
  if (!existsSync(manifest)) writeFileSync(manifest, '{ "private": true }\n');
  const npm = npmCommand();
  // The package `node` places its binary by an install script, so scripts must be on for this one install.
  const flags = [
    "--no-audit",
    "--no-fund",
    "--ignore-scripts=false",
    "--save-exact",
    "--loglevel=error",
  ];
  const run = await runQuietly(npm.command, [...npm.args, "install", ...flags, ...packages], {
    cwd: toolchainDir,
    env: cleanEnvironment(),
  });
  if (run.code !== 0) {
    throw new LaunchError(
      `npm could not install ${packages.join(" and ")}:\n${run.output.trim()}`,
      "check that the npm registry can be reached (`npm ping`), then run the command again",
    );
  }
}

/** The environment in which everything else runs: our Node and pnpm come first on PATH. */
export function toolchainEnvironment() {
  const nodeDir = runningNodeFits() ? path.dirname(process.execPath) : binDir;
  const rest = process.env.PATH ?? "";
  const own = [path.join(rootDir, "node_modules", ".bin"), nodeDir, binDir];
  const env = cleanEnvironment();
  // Airflow would be compiled anew by each of its processes, and the files lie in our own folder.
  delete env.PYTHONDONTWRITEBYTECODE;
  // Our programs run from source: kept like this, each of their many starts takes half the time.
  env.NODE_COMPILE_CACHE ??= path.join(stateDir, "compile-cache");
  return { ...env, PATH: [...own, rest].join(path.delimiter) };
}

export function nodeCommand() {
  return runningNodeFits() ? process.execPath : path.join(binDir, "node");
}

export function pnpmCommand() {
  return path.join(binDir, "pnpm");
}

export async function ensureToolchain() {
  const missing = missingPackages();
  if (missing.length === 0) return;
  await step(`installing ${missing.join(" and ")} into .remex/toolchain`, () =>
    installPackages(missing),
  );
  const stillMissing = missingPackages();
  if (stillMissing.length > 0) {
    throw new LaunchError(
      `npm reported success, but ${stillMissing.join(" and ")} is not in .remex/toolchain`,
      "install Node 24 or newer yourself and run the command again with it",
    );
  }
}
