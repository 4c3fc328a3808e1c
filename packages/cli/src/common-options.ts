// SPDX-License-Identifier: Apache-2.0
// The options that every command has, wherever on the line they stand, and what they come to.

import { type Command, Option } from "commander";
import { usageError } from "./cli-error.ts";
import { parseDurationMs } from "./duration-text.ts";
import type { World } from "./world.ts";

export const outputFormats = ["table", "json", "yaml"] as const;
/** `value` is offered by the commands that make a secret alone. */
export type OutputFormat = (typeof outputFormats)[number] | "value";

export interface CommonSettings {
  readonly format: OutputFormat;
  readonly url: string;
  /** Path of the key's file; "-" is standard input. Absent when the environment may hold it. */
  readonly keyFile: string | undefined;
  readonly deployment: string;
  /** True when the deployment was stated on the command line, not taken from elsewhere. */
  readonly deploymentStated: boolean;
  readonly timeoutMs: number;
}

const defaultUrl = "http://127.0.0.1:8700";
const defaultTimeout = "30s";
const heading = "Common options:";

interface CommonOption {
  readonly attribute: string;
  build(): Option;
}

const commonOptions: readonly CommonOption[] = [
  {
    attribute: "output",
    build: () =>
      new Option("-o, --output <format>", "form of the answer (default: table)").choices(
        outputFormats,
      ),
  },
  {
    attribute: "url",
    build: () => new Option("--url <url>", `the gateway (env REMEX_URL, default: ${defaultUrl})`),
  },
  {
    attribute: "keyFile",
    build: () =>
      new Option(
        "--key-file <file>",
        "file with the operator key, - for standard input (env REMEX_KEY_FILE, or the key itself in REMEX_KEY)",
      ),
  },
  {
    attribute: "deployment",
    build: () =>
      new Option("--deployment <slug>", "deployment (env REMEX_DEPLOYMENT, default: default)"),
  },
  {
    attribute: "timeout",
    build: () =>
      new Option(
        "--timeout <duration>",
        `longest time for one call, repetitions included (env REMEX_TIMEOUT, default: ${defaultTimeout})`,
      ),
  },
];

/** Adds the common options to a command, but those whose names it uses for something of its own. */
export function addCommonOptions(command: Command, own: readonly string[] = []): Command {
  for (const { attribute, build } of commonOptions) {
    if (!own.includes(attribute)) command.addOption(build().helpGroup(heading));
  }
  ownNames.set(command, own);
  return command;
}

/** Adds the common options with `-o value` as one more format. */
export function addSecretOptions(command: Command): Command {
  addCommonOptions(command, ["output"]);
  const formats = [...outputFormats, "value"];
  const option = new Option(
    "-o, --output <format>",
    "form of the answer; value prints the secret alone (default: table)",
  );
  ownNames.set(command, []);
  return command.addOption(option.choices(formats).helpGroup(heading));
}

const ownNames = new WeakMap<Command, readonly string[]>();

/** The value nearest to the end of the line: `remex -o json tasks list -o yaml` is yaml. */
function stated(leaf: Command, attribute: string): string | undefined {
  for (let command: Command | null = leaf; command !== null; command = command.parent) {
    if (ownNames.get(command)?.includes(attribute)) continue;
    const value: unknown = command.getOptionValue(attribute);
    if (typeof value === "string") return value;
  }
  return undefined;
}

export function readCommonSettings(leaf: Command, env: World["env"]): CommonSettings {
  const deployment = stated(leaf, "deployment");
  return {
    format: (stated(leaf, "output") ?? "table") as OutputFormat,
    url: parseUrl(stated(leaf, "url") ?? nonEmpty(env.REMEX_URL) ?? defaultUrl),
    keyFile: stated(leaf, "keyFile"),
    deployment: deployment ?? nonEmpty(env.REMEX_DEPLOYMENT) ?? "default",
    deploymentStated: deployment !== undefined,
    timeoutMs: parseTimeoutMs(stated(leaf, "timeout") ?? nonEmpty(env.REMEX_TIMEOUT)),
  };
}

export function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === "" ? undefined : text;
}

function parseTimeoutMs(text: string | undefined): number {
  const ms = parseDurationMs(text ?? defaultTimeout, "--timeout");
  if (ms <= 0) throw usageError("--timeout must be more than 0");
  return ms;
}

function parseUrl(text: string): string {
  const hint = `write it like ${defaultUrl}`;
  if (!URL.canParse(text))
    throw usageError(`the gateway's URL ${JSON.stringify(text)} is not a URL`, hint);
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw usageError(
      `the gateway's URL must begin with http:// or https://, not ${url.protocol}//`,
      hint,
    );
  }
  if (url.username !== "" || url.password !== "") {
    throw usageError("the gateway's URL must hold no user name and no password", keyPlaces);
  }
  if (url.search !== "" || url.hash !== "") {
    throw usageError("the gateway's URL must hold no query and no fragment", hint);
  }
  return url.href.replace(/\/+$/, "");
}

const keyPlaces = "the key is given by --key-file, REMEX_KEY_FILE or REMEX_KEY";
