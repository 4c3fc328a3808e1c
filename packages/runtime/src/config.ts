// SPDX-License-Identifier: Apache-2.0
// Configuration of a process: flag, then environment, then file, then default; all problems at once.

import { readFileSync } from "node:fs";
import { Command, CommanderError, Option } from "commander";
import { parse as parseYaml } from "yaml";
import type { ZodType } from "zod";

/** One setting of a process. Its key in the object below is its name in camel case. */
export interface Setting<Value = unknown> {
  /** What it does, its unit and what to mind, as one sentence for `--help`. */
  readonly help: string;
  /** Parses the text (or the value of the YAML file) and checks it; `.default()` makes it optional. */
  readonly schema: ZodType<Value, unknown>;
  /** What stands behind the flag in `--help`, for example "host:port". Absent for a switch. */
  readonly argument?: string;
  /** How the default is shown; absent when the setting is required or its default says nothing. */
  readonly shownDefault?: string;
  /** Name of the environment variable where it is not REMEX_ and the setting's name. */
  readonly env?: string;
}

/** The settings of a process by name. */
export type Settings = Readonly<Record<string, Setting>>;

/** The values of a process's settings. */
export type Config<S extends Settings> = {
  readonly [Name in keyof S]: S[Name] extends Setting<infer Value> ? Value : never;
};

export interface ConfigSources {
  /** The words after the program's name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Reads the file named by `--config`; the file system when absent. */
  readFile?(path: string): string;
}

/** What reading the configuration came to. */
export type ConfigOutcome<S extends Settings> =
  | { readonly kind: "ready"; readonly config: Config<S> }
  /** `--help` was asked for. */
  | { readonly kind: "help"; readonly text: string }
  /** Everything that is wrong, one line each. */
  | { readonly kind: "refused"; readonly problems: readonly string[] };

/** "gatewayListen" -> "--gateway-listen". */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** "gatewayListen" -> "REMEX_GATEWAY_LISTEN". */
export function envNameOf(name: string, setting?: Setting): string {
  return setting?.env ?? `REMEX_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/**
 * Reads the configuration of a process. Nothing is printed and nobody exits: the caller does.
 * An unknown flag or key of the file is a problem; an unknown environment variable is none, since the
 * environment is shared with others.
 */
export function readConfig<const S extends Settings>(
  program: { readonly name: string; readonly description: string },
  settings: S,
  sources: ConfigSources,
): ConfigOutcome<S> {
  const problems: string[] = [];
  const parsed = parseFlags(buildCommand(program, settings), sources.argv, problems);
  if (parsed.kind === "help") return parsed;
  const { flags } = parsed;
  const file = readConfigFile(flags.config ?? sources.env.REMEX_CONFIG, sources, problems);
  for (const key of Object.keys(file.values)) {
    if (!Object.hasOwn(settings, camel(key))) {
      problems.push(`${file.path}: ${key} is not a setting; see --help for those there are`);
    }
  }
  const config: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(settings)) {
    const found = findValue(name, setting, flags, sources.env, file);
    const result = setting.schema.safeParse(found.value);
    if (result.success) config[name] = result.data;
    else if (found.value === undefined) {
      problems.push(`${flagOf(name)} is missing: give it, or set ${envNameOf(name, setting)}`);
    } else {
      problems.push(...result.error.issues.map((issue) => `${found.from}: ${issue.message}`));
    }
  }
  return problems.length > 0
    ? { kind: "refused", problems }
    : { kind: "ready", config: config as Config<S> };
}

type ParsedFlags =
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "flags"; readonly flags: Readonly<Record<string, unknown>> };

function parseFlags(command: Command, argv: readonly string[], problems: string[]): ParsedFlags {
  let help = "";
  // Unknown words are gathered rather than thrown at the first, so that all are told at once.
  command.exitOverride().allowUnknownOption(true).allowExcessArguments(true);
  command.configureOutput({
    writeOut: (text) => {
      help += text;
    },
    writeErr: () => undefined,
  });
  try {
    command.parse([...argv], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (help !== "") return { kind: "help", text: help };
    problems.push(error.message.replace(/^error: /, ""));
  }
  for (const word of command.args) {
    problems.push(
      word.startsWith("-")
        ? `${word} is not an option; see --help for those there are`
        : `${JSON.stringify(word)} is one word too many`,
    );
  }
  return { kind: "flags", flags: command.opts() };
}

interface ConfigFile {
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
}

function readConfigFile(path: unknown, sources: ConfigSources, problems: string[]): ConfigFile {
  if (typeof path !== "string" || path === "") return { path: "", values: {} };
  const read = sources.readFile ?? ((name: string) => readFileSync(name, "utf8"));
  try {
    const values: unknown = parseYaml(read(path)) ?? {};
    if (typeof values === "object" && values !== null && !Array.isArray(values)) {
      return { path, values: values as Record<string, unknown> };
    }
    problems.push(`${path}: must hold settings by name`);
  } catch (error) {
    problems.push(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  return { path, values: {} };
}

interface Found {
  readonly value: unknown;
  /** Where it came from, for messages. */
  readonly from: string;
}

function findValue(
  name: string,
  setting: Setting,
  flags: Readonly<Record<string, unknown>>,
  env: ConfigSources["env"],
  file: ConfigFile,
): Found {
  if (flags[name] !== undefined) return { value: flags[name], from: flagOf(name) };
  const envName = envNameOf(name, setting);
  // An empty variable is what a shell or compose file leaves where nothing was meant.
  if (env[envName] !== undefined && env[envName] !== "") {
    return { value: env[envName], from: envName };
  }
  const key = Object.keys(file.values).find((candidate) => camel(candidate) === name);
  if (key !== undefined) return { value: file.values[key], from: `${file.path}: ${key}` };
  return { value: undefined, from: flagOf(name) };
}

/** The file may spell a setting "gatewayListen", "gateway-listen" or "gateway_listen". */
function camel(key: string): string {
  return key.replace(/[-_]([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function buildCommand(
  program: { readonly name: string; readonly description: string },
  settings: Settings,
): Command {
  const command = new Command(program.name)
    .description(program.description)
    .helpOption("-h, --help", "show this and exit");
  for (const [name, setting] of Object.entries(settings)) {
    const flag = flagOf(name);
    const shown = setting.shownDefault === undefined ? "" : `; default: ${setting.shownDefault}`;
    const argument = setting.argument === undefined ? "" : ` <${setting.argument}>`;
    command.addOption(
      new Option(
        `${flag}${argument}`,
        `${setting.help} (env: ${envNameOf(name, setting)}${shown})`,
      ),
    );
  }
  if (!Object.hasOwn(settings, "config")) {
    command.addOption(
      new Option(
        "--config <file>",
        "YAML file with settings by name (env: REMEX_CONFIG); flags and environment go first",
      ),
    );
  }
  return command;
}
