// SPDX-License-Identifier: Apache-2.0
// The options of `remex tasks submit` that describe a trigger.

import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { usageError } from "../cli-error.ts";
import { gatherList, gatherWhole, wordOption } from "../command-kit.ts";
import { parseCount } from "../duration-text.ts";
import { parsePairs } from "../submission.ts";
import { type TriggerWish, triggerNames } from "../trigger-wish.ts";

export interface TriggerOptions {
  readonly trigger?: string;
  readonly after?: string;
  readonly every?: string;
  readonly times?: string;
  readonly pollUrl?: string;
  readonly header?: readonly string[];
  readonly secretHeaders?: string;
  readonly expectStatus?: readonly string[];
  readonly expectBody?: string;
  readonly requestTimeout?: string;
  readonly path?: string;
}

export function addTriggerOptions(submit: Command): void {
  submit
    .addOption(
      wordOption(
        "--trigger <kind>",
        "queues a trigger instead of a command, for triggerer agents",
        triggerNames,
      ),
    )
    .option("--after <duration>", "timer: time to its first event")
    .option("--every <duration>", "timer: time between events; http, file: time between looks")
    .option("--times <number>", "timer: number of events (default: 1; with --every no end)")
    .option("--poll-url <url>", "http: what is asked for until the answer fits")
    .option("--header <key=value>", "http: header of the request, may be repeated", gatherWhole)
    .option(
      "--secret-headers <file>",
      "http: JSON file with an object of headers that nobody is shown",
    )
    .option("--expect-status <status>", "http: status that fits (default: 200 to 299)", gatherList)
    .option("--expect-body <text>", "http: text that must be in the body")
    .option("--request-timeout <duration>", "http: longest time of one request (default: 10s)")
    .option("--path <path>", "file: absolute path on the agent that must be there");
}

export async function readTriggerOptions(options: TriggerOptions): Promise<TriggerWish> {
  const { times, header, secretHeaders, expectStatus } = options;
  const named = {
    trigger: options.trigger,
    after: options.after,
    every: options.every,
    times: times === undefined ? undefined : parseCount(times, "--times", 1, 1_000_000),
    url: options.pollUrl,
    headers: header === undefined ? undefined : parsePairs(header, "--header"),
    secretHeaders: secretHeaders === undefined ? undefined : await readSecrets(secretHeaders),
    expectStatus: expectStatus?.map((status) => parseCount(status, "--expect-status", 100, 599)),
    expectBody: options.expectBody,
    requestTimeout: options.requestTimeout,
    path: options.path,
  };
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
}

async function readSecrets(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    throw usageError(`--secret-headers: ${error instanceof Error ? error.message : String(error)}`);
  }
}
