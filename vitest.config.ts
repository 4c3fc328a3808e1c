// SPDX-License-Identifier: Apache-2.0
// How all TypeScript tests run: one project per kind, so that each kind can be run alone.

import { defineConfig } from "vitest/config";

/** For tests of real processes, on a machine that is busy with other things. */
const slowTestMs = 180_000;

export default defineConfig({
  test: {
    globalSetup: ["scripts/tools/vitest-setup.ts"],
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: [
            "proto/src/**/*.test.ts",
            "packages/*/src/**/*.test.ts",
            "services/*/src/**/*.test.ts",
            "scripts/**/*.test.ts",
          ],
          exclude: ["**/node_modules/**"],
          testTimeout: 20_000,
        },
      },
      {
        extends: true,
        test: {
          name: "contract",
          include: [
            "test/contract/**/*.test.ts",
            "test/kit/**/*.test.ts",
            "test/faults/**/*.test.ts",
          ],
          testTimeout: slowTestMs,
          hookTimeout: slowTestMs,
        },
      },
      {
        extends: true,
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          testTimeout: slowTestMs,
          hookTimeout: slowTestMs,
        },
      },
      {
        extends: true,
        test: {
          name: "simulation",
          include: ["test/simulation/**/*.test.ts"],
          testTimeout: 4 * slowTestMs,
        },
      },
      {
        extends: true,
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 4 * slowTestMs,
          hookTimeout: 4 * slowTestMs,
        },
      },
    ],
  },
});
