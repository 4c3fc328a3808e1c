// SPDX-License-Identifier: Apache-2.0
// Triggers as people write them, on the command line or in a batch file, and as the contract has them.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, durationFromMs } from "@bufbuild/protobuf/wkt";
import type { TriggerWorkSchema } from "@remex/client";
import { usageError } from "./cli-error.ts";
import { parseDurationMs } from "./duration-text.ts";

/** The names are those of the options of `tasks submit`. */
export interface TriggerWish {
  readonly trigger?: string;
  readonly after?: string;
  readonly every?: string;
  readonly times?: number;
  readonly url?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON of headers that nobody is shown. */
  readonly secretHeaders?: Uint8Array;
  readonly expectStatus?: readonly number[];
  readonly expectBody?: string;
  readonly requestTimeout?: string;
  readonly path?: string;
}

type Field = Exclude<keyof TriggerWish, "trigger">;

/** What each trigger may be told, by the name of the option. */
const fieldsOf: Readonly<Record<string, readonly Field[]>> = {
  timer: ["after", "every", "times"],
  http: [
    "url",
    "headers",
    "secretHeaders",
    "expectStatus",
    "expectBody",
    "every",
    "requestTimeout",
  ],
  file: ["path", "every"],
};
export const triggerNames = Object.keys(fieldsOf);
const allFields = [...new Set(Object.values(fieldsOf).flat())];

const flags: Readonly<Record<Field, string>> = {
  after: "--after",
  every: "--every",
  times: "--times",
  url: "--poll-url",
  headers: "--header",
  secretHeaders: "--secret-headers",
  expectStatus: "--expect-status",
  expectBody: "--expect-body",
  requestTimeout: "--request-timeout",
  path: "--path",
};

type Work = MessageInitShape<typeof TriggerWorkSchema>;

/** The wished trigger; undefined when none is wished. `at` names the task in errors. */
export function triggerWorkOf(wish: TriggerWish, at: string): Work | undefined {
  const { trigger } = wish;
  const said = allFields.filter((field) => wish[field] !== undefined);
  if (trigger === undefined) {
    const [odd] = said;
    if (odd === undefined) return undefined;
    throw usageError(`${at}${flags[odd]} is for triggers`, "say which one with --trigger");
  }
  const known = fieldsOf[trigger];
  if (known === undefined) {
    const names = triggerNames.join(", ");
    throw usageError(`${at}trigger ${JSON.stringify(trigger)} is not one of ${names}`);
  }
  const odd = said.find((field) => !known.includes(field));
  if (odd !== undefined) {
    const fits = known.map((field) => flags[field]).join(", ");
    throw usageError(`${at}${flags[odd]} is not for ${trigger} triggers`, `they have ${fits}`);
  }
  return workOf(trigger, wish, at);
}

function workOf(trigger: string, wish: TriggerWish, at: string): Work {
  const every = durationField("every", wish, at);
  if (trigger === "timer") {
    const value = { ...durationField("after", wish, at), ...every, times: wish.times ?? 0 };
    return { builtin: { trigger: { case: "timer", value } } };
  }
  if (trigger === "file") {
    const path = required("path", wish, at);
    return { builtin: { trigger: { case: "file", value: { path, ...every } } } };
  }
  const value = {
    url: required("url", wish, at),
    headers: { ...wish.headers },
    expectStatuses: [...(wish.expectStatus ?? [])],
    expectBody: wish.expectBody ?? "",
    ...every,
    ...durationField("requestTimeout", wish, at),
  };
  const secretPayload = wish.secretHeaders ?? new Uint8Array();
  return { builtin: { trigger: { case: "http", value } }, secretPayload };
}

function required(field: "url" | "path", wish: TriggerWish, at: string): string {
  const value = wish[field];
  if (value === undefined) throw usageError(`${at}${wish.trigger} triggers need ${flags[field]}`);
  return value;
}

function durationField<Name extends "after" | "every" | "requestTimeout">(
  field: Name,
  wish: TriggerWish,
  at: string,
): Partial<Record<Name, Duration>> {
  const text = wish[field];
  if (text === undefined) return {};
  const ms = parseDurationMs(text, `${at}${flags[field]}`);
  return { [field]: durationFromMs(ms) } as Record<Name, Duration>;
}
