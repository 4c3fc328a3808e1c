// SPDX-License-Identifier: Apache-2.0
// The store as services hold it: typed function calls that load their libraries when they are missing.
import type { Redis } from "ioredis";
import type { EpochCell } from "./epoch-cell.ts";
import { type FunctionLibrary, loadFunctionLibraries } from "./function-library.ts";
import { StoreUnavailable } from "./store-error.ts";

/** An argument of a function call as Redis takes it. */
export type FunctionArgument = string | number | Uint8Array;

/** A reply of a function: bulk strings arrive as bytes, integers as numbers, nil as null. */
export type FunctionReply = Buffer | number | null | FunctionReply[];

/** One Redis function, declared once: named arguments in, a validated reply out. */
export interface StoreFunction<Args, Reply> {
  /** Full name with its version, for example `claim_tasks_v1`. */
  readonly name: string;
  readonly keys: (args: Args) => readonly string[];
  readonly args: (args: Args, epoch: string) => readonly FunctionArgument[];
  readonly parse: (reply: FunctionReply, args: Args) => Reply;
  /** True when its answer acknowledges something: it waits for replicas where there are some (D1). */
  readonly acknowledges?: boolean;
}

/** Declares a function; callers of it never see positions, arrays or status numbers. */
export function defineFunction<Args, Reply>(
  declaration: StoreFunction<Args, Reply>,
): StoreFunction<Args, Reply> {
  return declaration;
}

/** What every aggregate's typed wrapper stands on. */
export interface Store {
  /** Calls one function; rejects with StoreUnavailable when Redis did not answer. */
  call<Args, Reply>(definition: StoreFunction<Args, Reply>, args: Args): Promise<Reply>;
  /** The connection for plain reads. */
  readonly redis: Redis;
  /** The store's epoch; every function is told it (PROTOCOL D2). */
  readonly epoch: EpochCell;
}

/** What a process does beside its calls; nothing of it is needed for a store. */
export interface StoreGuards {
  /** False until the server behind the present connection was looked at: then nothing is sent (PROTOCOL D2). */
  admits?(): boolean;
  /** Settles when replicas have what was written; rejects when they have not in time (D1). */
  settled?(): Promise<void>;
  /** A function refused to work in this epoch: the store may have been wiped or restored. */
  onRefused?(): void;
}

/** Makes the store of a process over an open connection. */
export function createStore(
  redis: Redis,
  epoch: EpochCell,
  libraries: readonly FunctionLibrary[],
  guards: StoreGuards = {},
): Store {
  let loading: Promise<void> | undefined;
  const load = (): Promise<void> => {
    loading ??= loadFunctionLibraries(redis, libraries).finally(() => {
      loading = undefined;
    });
    return loading;
  };
  const send = async (name: string, rest: readonly FunctionArgument[]): Promise<FunctionReply> => {
    if (guards.admits?.() === false) throw new StoreUnavailable("not_sent", name);
    try {
      return (await redis.callBuffer(
        "FCALL",
        name,
        ...(rest as (string | Buffer)[]),
      )) as FunctionReply;
    } catch (error) {
      throw unanswered(error, name);
    }
  };
  const call = async <Args, Reply>(
    definition: StoreFunction<Args, Reply>,
    args: Args,
  ): Promise<Reply> => {
    const keys = definition.keys(args);
    const rest = [keys.length, ...keys, ...definition.args(args, epoch.current())];
    const answer = (reply: FunctionReply) => {
      const parsed = definition.parse(reply, args);
      if (isRefusal(parsed)) guards.onRefused?.();
      return parsed;
    };
    try {
      return answer(await send(definition.name, rest));
    } catch (error) {
      if (!isMissingFunction(error)) throw error;
      // A wiped or replaced Redis has no functions; the call had no effect, so it may be repeated.
      await load().catch((cause: unknown) => {
        throw unanswered(cause, definition.name);
      });
      return answer(await send(definition.name, rest));
    }
  };
  return {
    redis,
    epoch,
    async call(definition, args) {
      const reply = await call(definition, args);
      if (definition.acknowledges === true) await guards.settled?.();
      return reply;
    },
  };
}

function isRefusal(reply: unknown): boolean {
  if (reply === "epoch_stale") return true;
  return typeof reply === "object" && reply !== null && "kind" in reply && reply.kind === "refused";
}

function isMissingFunction(error: unknown): boolean {
  return error instanceof Error && /ERR Function not found/i.test(error.message);
}

// Redis's own answers (ReplyError) pass as they are: they are faults of ours, not of the connection.
function unanswered(error: unknown, name: string): unknown {
  if (!(error instanceof Error) || error.name === "ReplyError") {
    const code = error instanceof Error ? error.message.split(" ")[0] : "";
    const passing = [
      "LOADING",
      "BUSY",
      "MASTERDOWN",
      "READONLY",
      "NOREPLICAS",
      "CLUSTERDOWN",
      "OOM",
    ];
    return code && passing.includes(code)
      ? new StoreUnavailable("not_sent", name, { cause: error })
      : error;
  }
  const notSent = /enableOfflineQueue/.test(error.message);
  return new StoreUnavailable(notSent ? "not_sent" : "unknown", name, { cause: error });
}
