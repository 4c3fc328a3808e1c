// SPDX-License-Identifier: Apache-2.0
// The engines that the suite runs on; another engine is one more entry here.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TestEngine {
  readonly name: string;
  /** Makes an empty store and names it. */
  create(): Promise<{ readonly url: string; remove(): Promise<void> }>;
}

export const engines: readonly TestEngine[] = [
  {
    name: "sqlite",
    create: async () => {
      const folder = await mkdtemp(join(tmpdir(), "remex-records-"));
      return {
        url: `sqlite:${join(folder, "records.sqlite")}`,
        remove: () => rm(folder, { recursive: true, force: true }),
      };
    },
  },
];
