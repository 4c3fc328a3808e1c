// SPDX-License-Identifier: Apache-2.0
// How functions of the session aggregate are declared: what each is told, and replies checked by their kind.
import { configKey } from "../core/keys.ts";
import { defineFunction, type FunctionReply, type StoreFunction } from "../core/store.ts";

/** The deployment's configuration is not in the store, or is of another epoch (PROTOCOL D2, D6). */
export interface Refused {
  readonly kind: "refused";
  readonly reason: "not_projected" | "epoch_stale";
}

/** What every function is told. */
export interface Common {
  readonly deployment: string;
  /** Empty for Redis TIME; tests pass a number. */
  readonly now: string;
}

/** A function that answers with JSON whose `kind` is one of `kinds` (or `refused`). */
export function jsonFunction<Args extends { deployment: string }, Reply extends { kind: string }>(
  name: string,
  kinds: readonly Exclude<Reply["kind"], "refused">[],
  args: (args: Args, epoch: string) => readonly (string | number)[],
): StoreFunction<Args, Reply> {
  const known: readonly string[] = ["refused", ...kinds];
  return defineFunction({
    name,
    keys: ({ deployment }) => [configKey(deployment)],
    args,
    parse: (reply: FunctionReply) => {
      const value = JSON.parse(String(reply)) as Reply;
      if (!known.includes(value.kind)) throw new Error(`${name} answered ${value.kind}`);
      return value;
    },
  });
}
