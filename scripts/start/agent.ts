// SPDX-License-Identifier: Apache-2.0
// The worker agent of one run: a plain process whose environment holds no database, no key and no Airflow secret.

import { mkdirSync } from "node:fs";
import path from "node:path";
import { step } from "../launch/progress.mjs";
import { rootDir } from "../launch/toolchain.mjs";
import type { ControlPlane } from "./control-plane.ts";
import type { Programs } from "./programs.ts";
import { answers, waitUntil } from "./wait.ts";

export const agentName = "agent-1";
const agentMain = path.join(rootDir, "packages", "agent", "src", "main.ts");

export interface AgentSettings {
  readonly dataDir: string;
  readonly tokenFile: string;
  readonly runtime: "airflow" | "process";
  readonly queues: readonly string[];
  readonly slots: number;
  readonly healthPort: number;
  /** What the runtime needs beyond the bare environment. */
  readonly env: NodeJS.ProcessEnv;
  /** Folders that come first on the agent's PATH. */
  readonly bins: readonly string[];
}

/** Only what any process needs: nothing of the control plane's or Airflow's settings comes along. */
function bareEnvironment(bins: readonly string[], stateDir: string): NodeJS.ProcessEnv {
  const kept = ["HOME", "LANG", "LC_ALL", "USER", "LOGNAME"];
  const entries = kept.flatMap((name) =>
    process.env[name] === undefined ? [] : [[name, process.env[name]]],
  );
  // What tasks keep between runs, like virtual environments, is theirs alone and goes with the folder.
  const TMPDIR = path.join(stateDir, "tmp");
  mkdirSync(TMPDIR, { recursive: true, mode: 0o700 });
  const PATH = [...bins, process.env.PATH ?? ""].join(path.delimiter);
  return { ...Object.fromEntries(entries), TMPDIR, PATH };
}

export async function startAgent(
  programs: Programs,
  plane: ControlPlane,
  settings: AgentSettings,
): Promise<void> {
  const stateDir = path.join(settings.dataDir, "agent");
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const options = {
    url: plane.agentsUrl,
    "token-file": settings.tokenFile,
    name: agentName,
    runtime: settings.runtime,
    queues: settings.queues.join(","),
    slots: String(settings.slots),
    "state-dir": stateDir,
    // Ctrl-C does not wait for tasks.
    "drain-deadline": "1s",
    "health-listen": `127.0.0.1:${settings.healthPort}`,
  };
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  await step(`starting ${agentName} (runtime ${settings.runtime})`, async () => {
    await programs.start({
      name: agentName,
      command: process.execPath,
      args: [agentMain, ...flags],
      env: { ...bareEnvironment(settings.bins, stateDir), ...settings.env },
      cwd: stateDir,
      stage: 3,
    });
    const fix = `read ${programs.logFileOf(agentName)}`;
    const ready = () => answers(`http://127.0.0.1:${settings.healthPort}/readyz`);
    await waitUntil(agentName, 90_000, ready, fix);
  });
}
