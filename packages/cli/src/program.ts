// SPDX-License-Identifier: Apache-2.0
// The tree of commands.

import { Command, type CommanderError } from "commander";
import { CliError } from "./cli-error.ts";
import { addAgentCommands } from "./commands/agents.ts";
import { addDeploymentCommands } from "./commands/deployments.ts";
import { addGroupCommands } from "./commands/groups.ts";
import { addKeyCommands } from "./commands/keys.ts";
import { addQueueCommands } from "./commands/queues.ts";
import { addServeCommand } from "./commands/serve.ts";
import { addStatusCommand } from "./commands/status.ts";
import { addTaskCommands } from "./commands/tasks.ts";
import { addTokenCommands } from "./commands/tokens.ts";
import { addVersionCommand } from "./commands/version.ts";
import { addCommonOptions } from "./common-options.ts";
import { exitCodes } from "./exit-codes.ts";
import type { Runner } from "./gateway-call.ts";

export function createProgram(runner: Runner): Command {
  const program = new Command("remex")
    .description(
      "Remex runs work where the data lives: agents in your own network take tasks from queues.",
    )
    .enablePositionalOptions()
    .helpCommand(false);
  addCommonOptions(program);
  addServeCommand(program);
  addDeploymentCommands(program, runner);
  addQueueCommands(program, runner);
  addTokenCommands(program, runner);
  addKeyCommands(program, runner);
  addAgentCommands(program, runner);
  addGroupCommands(program, runner);
  addTaskCommands(program, runner);
  addStatusCommand(program, runner);
  addVersionCommand(program, runner);
  program.addHelpText("after", programHelp);
  catchUsage(program, runner);
  return program;
}

const programHelp = `
Exit codes:
  0 ok, 1 refused or failed, 2 wrong command line, 3 gateway not reachable,
  4 not authorised, 5 not found, 6 a task that was waited for did not succeed

Example:
  remex tasks submit --wait -- sh -c 'echo hello from $(hostname)'`;

/** Commander's own complaints become ours: one line, the place of the help, exit code 2. */
function catchUsage(command: Command, runner: Runner): void {
  command
    .configureOutput({
      writeOut: (text) => void runner.world.write(text),
      writeErr: (text) => runner.world.tell(text),
      outputError: () => undefined,
    })
    .exitOverride((error) => {
      throw usageErrorOf(error, pathOf(command));
    });
  for (const each of command.commands) catchUsage(each, runner);
}

/** A help that was asked for is no error. */
export class HelpShown extends Error {
  override readonly name = "HelpShown";
}

function usageErrorOf(error: CommanderError, path: string): Error {
  if (error.code === "commander.helpDisplayed" || error.exitCode === 0) return new HelpShown();
  if (error.code === "commander.help") {
    return new CliError(`${path} needs a command`, exitCodes.usage, `${path} --help lists them`);
  }
  const message = error.message.replace(/^error: /, "").replaceAll("\n", " ");
  const dashes = message.startsWith("unknown option") && path.endsWith(" submit");
  return new CliError(
    message,
    exitCodes.usage,
    dashes
      ? "options of the command to run come after two dashes: remex tasks submit -- ls -l"
      : `${path} --help shows what it takes`,
  );
}

function pathOf(command: Command): string {
  const names: string[] = [];
  for (let each: Command | null = command; each !== null; each = each.parent)
    names.unshift(each.name());
  return names.join(" ");
}
