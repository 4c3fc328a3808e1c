// SPDX-License-Identifier: Apache-2.0
// One launcher at a time installs into the checkout: a lock file that names its holder's process.

import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import path from "node:path";
import { say } from "./progress.mjs";

const pollMs = 300;

/** @param {number} pid */
export function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, as somebody else.
    return /** @type {NodeJS.ErrnoException} */ (error).code === "EPERM";
  }
}

/** @param {string} file @returns {boolean} whether this process holds the lock now */
export function tryLock(file) {
  mkdirSync(path.dirname(file), { recursive: true });
  try {
    const descriptor = openSync(file, "wx");
    writeSync(descriptor, String(process.pid));
    closeSync(descriptor);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "EEXIST") throw error;
    return false;
  }
}

/** @param {string} file @returns {number | undefined} the live holder; a lock left by a dead one is removed */
export function lockHolder(file) {
  try {
    const pid = Number(readFileSync(file, "utf8"));
    // An empty file is a holder between its open and its write.
    if (pid === 0 || isAlive(pid)) return pid;
    rmSync(file, { force: true });
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "ENOENT") throw error;
  }
  return undefined;
}

/**
 * @template T @param {string} file @param {() => Promise<T>} work @returns {Promise<T>}
 */
export async function withLock(file, work) {
  let told = false;
  while (!tryLock(file)) {
    const holder = lockHolder(file);
    if (holder === undefined) continue;
    if (!told) say(`waiting for process ${holder}, which installs into this checkout`);
    told = true;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}
