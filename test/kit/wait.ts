// SPDX-License-Identifier: Apache-2.0
// Waiting for a condition of a real process, bounded and with the reason kept; no test sleeps otherwise.

const pollMs = 20;
/** Long enough for a machine that is busy with other things; a good run never waits so long. */
const defaultTimeoutMs = 45_000;

export interface WaitOptions {
  readonly timeoutMs?: number;
  /** What is waited for, for the error. */
  readonly what: string;
}

/** Asks again until the answer is neither undefined nor false; a throwing question counts as "not yet". */
export async function waitFor<T>(
  ask: () => T | Promise<T>,
  options: WaitOptions,
): Promise<Exclude<T, undefined | false>> {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const deadline = performance.now() + timeoutMs;
  let cause: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`${options.what} did not happen within ${timeoutMs} ms`, { cause });
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
