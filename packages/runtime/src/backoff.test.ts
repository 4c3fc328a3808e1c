// SPDX-License-Identifier: Apache-2.0
// Proves full jitter: waits within bounds that double, forgotten on reset.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createBackoff } from "./backoff.ts";
import { createSeededRandom } from "./seeded-random.ts";

describe("PROTOCOL-L5: backoff", () => {
  test("every wait is within its bound, and the bound doubles up to the most", () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const backoff = createBackoff({
          baseMs: 500,
          maxMs: 10_000,
          random: createSeededRandom(seed),
        });
        for (let tries = 0; tries < 100; tries++) {
          const wait = backoff.nextMs();
          expect(wait).toBeGreaterThanOrEqual(0);
          expect(wait).toBeLessThan(Math.min(10_000, 500 * 2 ** tries));
        }
        backoff.reset();
        expect(backoff.tries).toBe(0);
        expect(backoff.nextMs()).toBeLessThan(500);
      }),
    );
  });

  test("waits are spread over the whole bound", () => {
    const random = createSeededRandom(1);
    const waits = Array.from({ length: 1_000 }, () =>
      createBackoff({ baseMs: 1_000, maxMs: 1_000, random }).nextMs(),
    );
    const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
    expect(mean).toBeGreaterThan(450);
    expect(mean).toBeLessThan(550);
  });
});
