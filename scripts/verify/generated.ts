// SPDX-License-Identifier: Apache-2.0
// Checks that the committed generated code is what the contracts generate today.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { runQuietly } from "../launch/child.mjs";
import { say } from "../launch/progress.mjs";
import { rootDir } from "../launch/toolchain.mjs";
import type { Suite } from "./suite.ts";
import { tallyExitCode } from "./tally.ts";

const protoDir = path.join(rootDir, "proto");

async function generatedCodeIsCurrent(): Promise<boolean> {
  const dir = mkdtempSync(path.join(tmpdir(), "remex-generated-"));
  try {
    const generate = await runQuietly("buf", ["generate", "--output", dir], { cwd: protoDir });
    if (generate.code !== 0) {
      say(`buf generate failed:\n${generate.output}`);
      return false;
    }
    const generated = path.join("src", "generated");
    const compare = await runQuietly("diff", ["-rq", path.join(dir, generated), generated], {
      cwd: protoDir,
    });
    if (compare.code !== 0)
      say(`generated code is not current; run \`pnpm generate\`:\n${compare.output}`);
    return compare.code === 0;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

export const generatedCode: Suite = {
  title: "generated code is current",
  run: async () => tallyExitCode((await generatedCodeIsCurrent()) ? 0 : 1),
};
