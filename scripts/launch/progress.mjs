// SPDX-License-Identifier: Apache-2.0
// Progress lines for steps that take a while, and errors that name their fix; runs on Node 18 and needs no packages.

const stillRunningEveryMs = 15_000;

/** An error whose text is meant for the person at the terminal; no stack is printed for it. */
export class LaunchError extends Error {
  /** @param {string} problem @param {string} fix */
  constructor(problem, fix) {
    super(`${problem}\n  fix: ${fix}`);
    this.name = "LaunchError";
  }
}

/** @param {string} line */
export function say(line) {
  process.stdout.write(`[remex] ${line}\n`);
}

/** @param {number} sinceMs */
function elapsed(sinceMs) {
  return `${((Date.now() - sinceMs) / 1000).toFixed(1)} s`;
}

/**
 * Runs one long step and says when it began, that it still runs, and how it ended.
 * @template T @param {string} title @param {() => Promise<T>} work @returns {Promise<T>}
 */
export async function step(title, work) {
  const startedMs = Date.now();
  say(`${title} ...`);
  const timer = setInterval(() => say(`${title} ... ${elapsed(startedMs)}`), stillRunningEveryMs);
  timer.unref();
  try {
    const result = await work();
    say(`${title}: done in ${elapsed(startedMs)}`);
    return result;
  } catch (error) {
    say(`${title}: failed after ${elapsed(startedMs)}`);
    throw error;
  } finally {
    clearInterval(timer);
  }
}

/** @param {() => Promise<number>} main ends the process with the number that main returns */
export async function runMain(main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (!(error instanceof LaunchError)) throw error;
    process.stderr.write(`[remex] error: ${error.message}\n`);
    process.exitCode = 1;
  }
}
