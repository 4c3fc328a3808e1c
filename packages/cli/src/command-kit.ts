// SPDX-License-Identifier: Apache-2.0
// How commands are declared: a group has commands, a command has an example in its help.

import { type Command, Option } from "commander";
import { addCommonOptions } from "./common-options.ts";

/** Adds a group, like `remex tasks`. */
export function addGroup(program: Command, name: string, description: string): Command {
  const group = program
    .command(name)
    .description(description)
    .enablePositionalOptions()
    .helpCommand(false);
  return addCommonOptions(group);
}

/** The examples below a command's help, one per line. */
export function withExamples(command: Command, ...examples: readonly string[]): Command {
  const lines = examples.map((example) => `  ${example}`).join("\n");
  const title = examples.length === 1 ? "Example" : "Examples";
  return command.addHelpText("after", `\n${title}:\n${lines}`);
}

/** An option that takes one of some words. */
export function wordOption(flags: string, description: string, words: readonly string[]): Option {
  return new Option(flags, description).choices(words);
}

/** Gathers a repeated option; each may also hold several values with commas between. */
export function gatherList(text: string, before: readonly string[] | undefined): readonly string[] {
  const words = text.split(",").map((word) => word.trim());
  return [...(before ?? []), ...words.filter((word) => word !== "")];
}

/** Gathers a repeated option whose values may hold commas. */
export function gatherWhole(
  text: string,
  before: readonly string[] | undefined,
): readonly string[] {
  return [...(before ?? []), text];
}
