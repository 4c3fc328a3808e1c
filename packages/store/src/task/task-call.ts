// SPDX-License-Identifier: Apache-2.0
// What the calls of the task functions have in common: refusals, packed lists and packed bytes.

import { configKey } from "../core/keys.ts";
import {
  defineFunction,
  type FunctionArgument,
  type FunctionReply,
  type StoreFunction,
} from "../core/store.ts";

/** The deployment's configuration is not in the store, or is of another epoch (PROTOCOL D2, D6). */
export interface TaskRefused {
  readonly kind: "refused";
  readonly reason: "not_projected" | "epoch_stale";
}

/** What every function is told. `now` is empty for Redis TIME; tests pass a number. */
export interface TaskCall {
  readonly deployment: string;
  readonly now: number | "";
}

/** Declares a function of the task library whose first arguments are the epoch and the time. */
export function taskFunction<Args extends TaskCall, Reply>(declaration: {
  readonly name: string;
  readonly args: (args: Args) => readonly FunctionArgument[];
  readonly parse: (reply: FunctionReply, args: Args) => Reply;
  readonly acknowledges?: boolean;
}): StoreFunction<Args, Reply | TaskRefused> {
  return defineFunction<Args, Reply | TaskRefused>({
    name: declaration.name,
    keys: ({ deployment }) => [configKey(deployment)],
    args: (args, epoch) => [epoch, args.now, ...declaration.args(args)],
    parse: (reply, args) => refusalOf(reply) ?? declaration.parse(reply, args),
    acknowledges: declaration.acknowledges ?? false,
  });
}

// Everything else that a function answers as text is JSON, which begins with neither letter.
function refusalOf(reply: FunctionReply): TaskRefused | undefined {
  if (!Buffer.isBuffer(reply)) return undefined;
  const text = reply.length < 16 ? String(reply) : "";
  return text === "not_projected" || text === "epoch_stale"
    ? { kind: "refused", reason: text }
    : undefined;
}

/** A reply that is JSON, or the JSON part of one. */
export function parseJson<Value>(reply: FunctionReply | undefined): Value {
  return JSON.parse(String(reply)) as Value;
}

/** The items of a list reply. */
export function listOf(reply: FunctionReply | undefined): FunctionReply[] {
  if (!Array.isArray(reply)) throw new Error("a function of the task library answered no list");
  return reply;
}

/** A bulk string as text. */
export function textOf(reply: FunctionReply | undefined): string {
  return reply === undefined || reply === null ? "" : String(reply);
}

/** Text for the change history: without the characters that separate its fields. */
export function plainText(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not pass
  return /[\u0000-\u001f]/.test(text) ? text.replace(/[\u0000-\u001f]/g, " ") : text;
}
