// SPDX-License-Identifier: Apache-2.0
// Waiting for a started program to become usable: asks again until it answers, within a limit.

import { LaunchError } from "../launch/progress.mjs";

const pollMs = 200;

export async function waitUntil<T>(
  what: string,
  limitMs: number,
  ask: () => Promise<T | undefined>,
  fix: string,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  let last = "";
  while (performance.now() < deadline) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      // Not up yet; the last reason is told if it never comes up.
      last = error instanceof Error ? `: ${error.message}` : "";
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  throw new LaunchError(`${what} was not ready within ${limitMs / 1000} s${last}`, fix);
}

/** Resolves with true once an address answers with a good status. */
export async function answers(url: string): Promise<true | undefined> {
  const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
  return response.ok ? true : undefined;
}
