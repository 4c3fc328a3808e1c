// SPDX-License-Identifier: Apache-2.0
// The built-in triggers: what each waits for, and which statements of one are refused, with the reason.

import type { Parsed } from "./ids.ts";
import { failureOf } from "./remex-error.ts";

/** A built-in trigger that can run. Durations are of the runner's monotonic clock. */
export type BuiltinTrigger = TimerTrigger | HttpTrigger | FileTrigger;

export interface TimerTrigger {
  readonly kind: "timer";
  readonly afterMs: number;
  /** Undefined when it fires once. */
  readonly everyMs: number | undefined;
  /** Undefined when it goes on until it is stopped. */
  readonly times: number | undefined;
}

export interface HttpTrigger {
  readonly kind: "http";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Empty: 200 to 299. */
  readonly expectStatuses: readonly number[];
  /** Empty: any body. */
  readonly expectBody: string;
  readonly everyMs: number;
  readonly requestTimeoutMs: number;
}

export interface FileTrigger {
  readonly kind: "file";
  readonly path: string;
  readonly everyMs: number;
}

/** A trigger as it was stated: durations in ms, undefined where nothing was said. */
export type StatedTrigger =
  | {
      readonly kind: "timer";
      readonly afterMs: number | undefined;
      readonly everyMs: number | undefined;
      readonly times: number;
    }
  | (Omit<HttpTrigger, "everyMs" | "requestTimeoutMs"> & {
      readonly everyMs: number | undefined;
      readonly requestTimeoutMs: number | undefined;
    })
  | (Omit<FileTrigger, "everyMs"> & { readonly everyMs: number | undefined });

const shortestMs = 10;
const longestMs = 3_660 * 86_400_000;
const mostFirings = 1_000_000;
const defaultHttpEveryMs = 5_000;
const defaultFileEveryMs = 1_000;
const defaultRequestMs = 10_000;
const longestRequestMs = 60_000;
const longestUrl = 2_048;
const longestPath = 4_096;
const longestExpectedBody = 4_096;
const mostHeaders = 32;
const mostHeaderCharacters = 16_384;

/** Fills in what was not said, or says the first thing that is wrong; `field` begins its name. */
export function decideTrigger(stated: StatedTrigger, field: string): Parsed<BuiltinTrigger> {
  switch (stated.kind) {
    case "timer":
      return decideTimer(stated, `${field}.timer`);
    case "http":
      return decideHttp(stated, `${field}.http`);
    case "file":
      return decideFile(stated, `${field}.file`);
    default:
      return stated satisfies never;
  }
}

type Stated<Kind extends StatedTrigger["kind"]> = Extract<StatedTrigger, { kind: Kind }>;

function decideTimer(stated: Stated<"timer">, field: string): Parsed<BuiltinTrigger> {
  const { everyMs, times } = stated;
  const afterMs = stated.afterMs ?? everyMs;
  if (afterMs === undefined) return refuse(`${field}.after`, "state `after`, `every` or both");
  const problem =
    durationProblem(`${field}.after`, afterMs) ?? durationProblem(`${field}.every`, everyMs);
  if (problem !== undefined) return problem;
  if (times > mostFirings) return refuse(`${field}.times`, `at most ${mostFirings} are allowed`);
  if (everyMs === undefined && times > 1) {
    return refuse(`${field}.every`, `${times} events need the time between two of them`);
  }
  const firings = times > 0 ? times : everyMs === undefined ? 1 : undefined;
  return { ok: true, value: { kind: "timer", afterMs, everyMs, times: firings } };
}

function decideHttp(stated: Stated<"http">, field: string): Parsed<BuiltinTrigger> {
  const { url, headers, expectStatuses, expectBody } = stated;
  const everyMs = stated.everyMs ?? defaultHttpEveryMs;
  const requestTimeoutMs = stated.requestTimeoutMs ?? defaultRequestMs;
  const wrongUrl = urlProblem(url);
  if (wrongUrl !== undefined) return refuse(`${field}.url`, wrongUrl);
  const wrongHeaders = headersProblem(headers);
  if (wrongHeaders !== undefined) return refuse(`${field}.headers`, wrongHeaders);
  const odd = expectStatuses.find((status) => status < 100 || status > 599);
  if (odd !== undefined) return refuse(`${field}.expect_statuses`, `${odd} is no HTTP status`);
  if (expectStatuses.length > mostHeaders) {
    return refuse(`${field}.expect_statuses`, `at most ${mostHeaders} are allowed`);
  }
  if (expectBody.length > longestExpectedBody) {
    return refuse(`${field}.expect_body`, `at most ${longestExpectedBody} characters are allowed`);
  }
  if (requestTimeoutMs > longestRequestMs) {
    return refuse(`${field}.request_timeout`, `at most ${longestRequestMs} ms are allowed`);
  }
  const problem =
    durationProblem(`${field}.every`, everyMs) ??
    durationProblem(`${field}.request_timeout`, requestTimeoutMs);
  return problem ?? { ok: true, value: { ...stated, everyMs, requestTimeoutMs } };
}

function decideFile(stated: Stated<"file">, field: string): Parsed<BuiltinTrigger> {
  const { path } = stated;
  const everyMs = stated.everyMs ?? defaultFileEveryMs;
  if (!path.startsWith("/") || path.includes("\0")) {
    return refuse(`${field}.path`, `${JSON.stringify(path)} is not an absolute path`);
  }
  if (path.length > longestPath) {
    return refuse(`${field}.path`, `at most ${longestPath} bytes are allowed`);
  }
  const problem = durationProblem(`${field}.every`, everyMs);
  return problem ?? { ok: true, value: { kind: "file", path, everyMs } };
}

function durationProblem(field: string, ms: number | undefined): Parsed<never> | undefined {
  if (ms === undefined || (ms >= shortestMs && ms <= longestMs)) return undefined;
  return refuse(field, `${ms} ms is not within ${shortestMs} ms and ${longestMs} ms`);
}

function urlProblem(text: string): string | undefined {
  const url = text.length > longestUrl ? null : URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    return `it is not an http or https URL of at most ${longestUrl} bytes`;
  }
  return url.username === "" && url.password === ""
    ? undefined
    : "it holds credentials; send them as secret headers";
}

/** What is wrong with headers of a request; undefined when nothing is. Values are not repeated. */
export function headersProblem(headers: Readonly<Record<string, string>>): string | undefined {
  const entries = Object.entries(headers);
  if (entries.length > mostHeaders) return `${entries.length} headers, at most ${mostHeaders}`;
  let characters = 0;
  for (const [name, value] of entries) {
    characters += name.length + value.length;
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
      return `${JSON.stringify(name)} is no header name`;
    }
    if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) return `the value of ${name} is no header value`;
  }
  return characters > mostHeaderCharacters
    ? `${characters} characters, at most ${mostHeaderCharacters}`
    : undefined;
}

/** Reads secret headers: a JSON object of texts. Nothing of them is repeated in a refusal. */
export function parseSecretHeaders(
  text: string,
  field: string,
): Parsed<Readonly<Record<string, string>>> {
  if (text === "") return { ok: true, value: {} };
  let headers: unknown;
  try {
    headers = JSON.parse(text);
  } catch {
    // What the parser says would repeat a part of the secret.
    return refuse(field, "it is not JSON");
  }
  if (typeof headers !== "object" || headers === null || Array.isArray(headers)) {
    return refuse(field, "it is not a JSON object");
  }
  const values = Object.values(headers);
  if (!values.every((value): value is string => typeof value === "string")) {
    return refuse(field, "it holds something else than texts");
  }
  const problem = headersProblem(headers as Record<string, string>);
  return problem === undefined
    ? { ok: true, value: headers as Record<string, string> }
    : refuse(field, problem);
}

function refuse(field: string, problem: string): Parsed<never> {
  return { ok: false, failure: failureOf("argument_invalid", { field, problem }) };
}
