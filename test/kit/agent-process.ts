// SPDX-License-Identifier: Apache-2.0
// A real agent for a test: the process that users start, with the process runner, in a folder of its own.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createTempDir } from "./places.ts";
import { type Program, startProgram } from "./program.ts";

const agentMain = fileURLToPath(new URL("../../packages/agent/src/main.ts", import.meta.url));

/** A running agent. */
export interface AgentProcess extends AsyncDisposable {
  readonly program: Program;
  readonly stateDir: string;
}

/** Starts an agent; `args` are further flags. It is stopped and its folder removed when its scope ends. */
export async function startAgent(options: {
  readonly target: string;
  readonly token: string;
  readonly name: string;
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** File to run instead of the source, for example a bundle. */
  readonly main?: string;
}): Promise<AgentProcess> {
  const folder = await createTempDir();
  const tokenFile = join(folder.path, "token");
  await writeFile(tokenFile, `${options.token}\n`, { mode: 0o600 });
  const stateDir = join(folder.path, "state");
  const args = [
    options.main ?? agentMain,
    ...["--url", `http://${options.target}`, "--token-file", tokenFile],
    ...["--name", options.name, "--state-dir", stateDir, "--slots", "4"],
    ...(options.args ?? []),
  ];
  const program = startProgram(process.execPath, args, { env: { ...process.env, ...options.env } });
  return {
    program,
    stateDir,
    [Symbol.asyncDispose]: async () => {
      await program.stop();
      await folder[Symbol.asyncDispose]();
    },
  };
}
