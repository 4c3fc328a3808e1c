// SPDX-License-Identifier: Apache-2.0
// Waits in tests until something is so, with a bound: for real processes, which no fake clock moves.

const defaultLimitMs = 25_000;
const everyMs = 10;

/** Resolves once `holds` gives something other than false or undefined; rejects after the limit. */
export async function until<Value>(
  what: string,
  holds: () => Value | false | undefined,
  limitMs = defaultLimitMs,
): Promise<Value> {
  const endAt = performance.now() + limitMs;
  for (;;) {
    const value = holds();
    if (value !== false && value !== undefined) return value;
    if (performance.now() > endAt) throw new Error(`waited ${limitMs} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
