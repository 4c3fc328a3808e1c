// SPDX-License-Identifier: Apache-2.0
// `pnpm run lock:python`: resolves scripts/python/airflow.in anew into airflow.lock, for every Python that fits.

import path from "node:path";
import { handOver } from "../launch/child.mjs";
import { runMain } from "../launch/progress.mjs";
import { rootDir } from "../launch/toolchain.mjs";
import { ensureUv } from "./python.ts";

const options = [
  "--quiet",
  "--universal",
  "--python-version",
  "3.10",
  "--no-annotate",
  "--upgrade",
];

await runMain(async () => {
  const uv = await ensureUv();
  if (uv === undefined) return 1;
  const command = ["--custom-compile-command", "pnpm run lock:python"];
  const files = ["airflow.in", "--output-file", "airflow.lock"];
  return handOver(uv, ["pip", "compile", ...options, ...command, ...files], {
    cwd: path.join(rootDir, "scripts", "python"),
  });
});
