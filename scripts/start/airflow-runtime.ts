// SPDX-License-Identifier: Apache-2.0
// What the agent's side needs to run Airflow's tasks: the bundle's files, and the means to make virtual environments.

import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import path from "node:path";
import { ensureUv, findPython, packageIndexEnvironment, type Venv } from "../tools/python.ts";
import type { AgentSettings } from "./agent.ts";
import { bundleEnvironment } from "./airflow.ts";

type RuntimeSettings = Pick<AgentSettings, "runtime" | "env" | "bins">;

export async function airflowRuntime(venv: Venv, dataDir: string): Promise<RuntimeSettings> {
  const uv = await ensureUv();
  // One that is found by its name alone is on PATH already.
  const uvDirs = uv !== undefined && path.isAbsolute(uv) ? [path.dirname(uv)] : [];
  return {
    runtime: "airflow",
    env: { ...(await packageIndexEnvironment()), ...bundleEnvironment(dataDir) },
    bins: [venv.bin, await pythonDir(dataDir), ...uvDirs],
  };
}

/**
 * Airflow's operators for virtual environments ask uv for a `python`, and uv takes none that lies in a
 * virtual environment; many systems have a `python3` alone.
 */
async function pythonDir(dataDir: string): Promise<string> {
  const dir = path.join(dataDir, "agent", "bin");
  const link = path.join(dir, "python");
  const { command } = await findPython();
  mkdirSync(dir, { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(command, link);
  return dir;
}
