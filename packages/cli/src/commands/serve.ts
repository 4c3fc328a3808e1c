// SPDX-License-Identifier: Apache-2.0
// `remex serve`: starts the control plane; its options are its own.

import type { Command } from "commander";
import { withExamples } from "../command-kit.ts";

/** Listed in the help; the words after `serve` go to the control plane as they are. */
export function addServeCommand(program: Command): void {
  const serve = program
    .command("serve")
    .description("Starts the control plane, or some of its roles; its options: remex serve --help.")
    .usage("[options]")
    .allowUnknownOption()
    .allowExcessArguments();
  withExamples(serve, "remex serve --roles registry,scheduler,health-monitor,token,gateway");
}

/** Answers an exit code when it does not come to run; otherwise it runs until a signal. */
export async function runServe(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<number | undefined> {
  // Loaded here alone: every other command starts without the control plane's code.
  const { serve } = await import("@remex/serve");
  return serve({ argv, env, name: "remex serve" });
}
