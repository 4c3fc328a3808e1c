// SPDX-License-Identifier: Apache-2.0
// Removes what npm start has made: the data of a run, and what was installed into the checkout.

import { readdirSync, rmdirSync, rmSync } from "node:fs";
import path from "node:path";
import { packageFolders } from "../launch/packages.mjs";
import { rootDir, stateDir } from "../launch/toolchain.mjs";

/** Everything that a run may leave in its data folder. */
const runFiles = [
  ...["agent", "airflow", "control-plane", "dags", "logs", "redis", "tried-once"],
  ...["agent.token", "submitter.key", "programs.json", "run.lock"],
];

/** The folder itself is the user's choice: what else lies in it stays. */
export function removeRun(dataDir: string): void {
  for (const name of runFiles) rmSync(path.join(dataDir, name), { recursive: true, force: true });
  if (readdirSync(dataDir).length === 0) rmdirSync(dataDir);
}

/** The toolchain that runs this goes with it. */
export function removeInstalled(): void {
  const folders = packageFolders().map((folder) => path.join(rootDir, folder, "node_modules"));
  for (const dir of [...folders, stateDir]) rmSync(dir, { recursive: true, force: true });
}
