// SPDX-License-Identifier: Apache-2.0
// Reads a file of tasks to submit; every problem in it is reported, each with its place.

import { parse } from "yaml";
import { CliError, usageError } from "./cli-error.ts";
import { exitCodes } from "./exit-codes.ts";
import type { TriggerWish } from "./trigger-wish.ts";

/** One task as a person writes it; the names are those of the options of `tasks submit`. */
export interface TaskWish extends TriggerWish {
  readonly command?: readonly string[];
  readonly noop?: boolean;
  readonly queue?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly timeout?: string;
  readonly priority?: number;
  readonly key?: string;
  readonly slotCost?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly onLost?: string;
  readonly onCut?: string;
  readonly lostAfter?: string;
  readonly maxRetries?: number;
}

type Check = (value: unknown) => string | undefined;

const text: Check = (value) => (typeof value === "string" ? undefined : "must be text");
const whole: Check = (value) =>
  Number.isSafeInteger(value) ? undefined : "must be a whole number";
const words: Check = (value) =>
  Array.isArray(value) && value.length > 0 && value.every(isScalar)
    ? undefined
    : 'must be a list of words, like ["sh", "-c", "echo hello"]: no shell takes it apart';
const map: Check = (value) =>
  isRecord(value) && Object.values(value).every(isScalar) ? undefined : "must be a map of texts";

// Secrets are no part of a file that is kept beside code.
const checks: Readonly<Record<Exclude<keyof TaskWish, "secretHeaders">, Check>> = {
  command: words,
  noop: (value) => (typeof value === "boolean" ? undefined : "must be true or false"),
  queue: text,
  env: map,
  cwd: text,
  timeout: text,
  priority: whole,
  key: text,
  slotCost: whole,
  labels: map,
  onLost: text,
  onCut: text,
  lostAfter: text,
  maxRetries: whole,
  trigger: text,
  after: text,
  every: text,
  times: whole,
  url: text,
  headers: map,
  expectStatus: (value) =>
    Array.isArray(value) && value.every((status) => Number.isSafeInteger(status))
      ? undefined
      : "must be a list of whole numbers",
  expectBody: text,
  requestTimeout: text,
  path: text,
};

/** `name` is the file's, for errors. */
export function parseBatch(source: string, name: string): TaskWish[] {
  let document: unknown;
  try {
    document = parse(source);
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    throw usageError(`${name} is not valid YAML: ${reason}`);
  }
  const items = isRecord(document) && "tasks" in document ? document.tasks : document;
  if (!Array.isArray(items) || items.length === 0) {
    throw usageError(
      `${name} holds no tasks`,
      "write a list of tasks, or a map with the list `tasks`",
    );
  }
  const problems = items.flatMap((item, index) => problemsOf(item, index));
  if (problems.length > 0) {
    throw new CliError(`${name}: ${problems.join("; ")}`, exitCodes.usage, batchHint);
  }
  return items.map((item) => asTexts(item as TaskWish));
}

const batchHint = `each task may have ${Object.keys(checks).join(", ")}`;

function problemsOf(item: unknown, index: number): string[] {
  const place = `task ${index + 1}`;
  if (!isRecord(item)) return [`${place} must be a map`];
  return Object.entries(item).flatMap(([key, value]) => {
    if (!Object.hasOwn(checks, key)) return [`${place}: there is no field ${key}`];
    const problem = checks[key as keyof typeof checks](value);
    return problem === undefined ? [] : [`${place}: ${key} ${problem}`];
  });
}

/** YAML reads `1` and `true` as a number and a boolean; in commands and environments they are text. */
function asTexts(wish: TaskWish): TaskWish {
  const texts = (record: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(Object.entries(record).map(([key, value]) => [key, String(value)]));
  return {
    ...wish,
    ...(wish.command === undefined ? {} : { command: wish.command.map(String) }),
    ...(wish.env === undefined ? {} : { env: texts(wish.env) }),
    ...(wish.labels === undefined ? {} : { labels: texts(wish.labels) }),
    ...(wish.headers === undefined ? {} : { headers: texts(wish.headers) }),
  };
}

function isScalar(value: unknown): boolean {
  return ["string", "number", "boolean", "bigint"].includes(typeof value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
