// SPDX-License-Identifier: Apache-2.0
// The epoch of the store (PROTOCOL D2, T7): kept or begun anew by one function, whoever notices first.

import type { Redis } from "ioredis";
import type { EpochCell } from "../core/epoch-cell.ts";
import { loadFunctionLibraries, readFunctionLibrary } from "../core/function-library.ts";
import { globalKeys } from "../core/keys.ts";
import { readServerIdentity, type ServerIdentity } from "./server-identity.ts";

export const epochLibrary = readFunctionLibrary(
  "epoch",
  1,
  new URL("./functions/", import.meta.url),
);

/** What began an epoch; empty when it stands. */
export type EpochBeginning = "" | "missing" | "run_id" | "promoted" | "behind" | "claimed";

export interface EpochLook {
  readonly epoch: string;
  /** Why this very look began it. */
  readonly began: EpochBeginning;
}

/** Who is connected to what, and when; a test or a simulation says it itself. */
export interface EpochLookOptions {
  readonly identity?: ServerIdentity;
  /** Milliseconds; absence means Redis TIME. */
  readonly nowMs?: number;
}

/**
 * Compares the server with the one that the epoch belongs to and begins a new epoch when they differ.
 * Safe when many processes look at once: the first one begins it, the others adopt it.
 */
export async function lookAtEpoch(
  redis: Redis,
  cell: EpochCell,
  options: EpochLookOptions = {},
): Promise<EpochLook> {
  const identity = options.identity ?? (await askIdentity(redis));
  const { runId, replId, promoted } = identity;
  const args = [
    ...[globalKeys.epoch, globalKeys.server, options.nowMs ?? "", runId, replId],
    ...[promoted ? "1" : "0", cell.greatest(), cell.claimed()],
  ];
  const call = () => redis.call("FCALL", "begin_epoch_v1", 2, ...args);
  const reply = await call().catch(async (error: unknown) => {
    if (!/ERR Function not found/i.test(String(error))) throw error;
    await loadFunctionLibraries(redis, [epochLibrary]);
    return call();
  });
  const { epoch, why } = JSON.parse(String(reply)) as { epoch: string; why: EpochBeginning };
  cell.set(epoch);
  return { epoch, began: why };
}

/** Asks the server who it is. */
export async function askIdentity(redis: Redis): Promise<ServerIdentity> {
  return readServerIdentity(String(await redis.call("INFO", "server", "replication")));
}

/** Reads the epoch, and makes the first one from Redis TIME in seconds where there is none. */
export async function ensureEpoch(redis: Redis, cell: EpochCell): Promise<string> {
  return (await lookAtEpoch(redis, cell)).epoch;
}
