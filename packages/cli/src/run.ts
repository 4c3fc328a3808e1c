// SPDX-License-Identifier: Apache-2.0
// One run of the command: the line in, the exit code out, every failure told in one place.

import { CliError, errorLines } from "./cli-error.ts";
import { runServe } from "./commands/serve.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { createRunner } from "./gateway-call.ts";
import { refuseCredentials } from "./operator-key.ts";
import { createProgram, HelpShown } from "./program.ts";
import type { World } from "./world.ts";

/** `argv` is without the program. Undefined when the process is to go on running. */
export async function runCommand(
  argv: readonly string[],
  world: World,
): Promise<number | undefined> {
  let exitCode: ExitCode = exitCodes.ok;
  try {
    refuseCredentials(argv);
    if (argv[0] === "serve") return await runServe(argv.slice(1), world.env);
    const runner = createRunner(world, (code) => {
      exitCode = code;
    });
    await createProgram(runner).parseAsync([...argv], { from: "user" });
    return exitCode;
  } catch (thrown) {
    if (thrown instanceof HelpShown) return exitCodes.ok;
    const error = thrown instanceof CliError ? thrown : unexpected(thrown);
    world.tell(errorLines(error));
    return error.exitCode;
  }
}

/** A fault of this program: named in one line, without a stack. */
function unexpected(thrown: unknown): CliError {
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  return new CliError(
    `something went wrong inside: ${reason}`,
    exitCodes.failed,
    "this is a fault of remex; please report it with the command that you ran",
  );
}
