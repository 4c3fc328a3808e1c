// SPDX-License-Identifier: Apache-2.0
// Waits until replicas have what was written, so that a promotion loses nothing acknowledged (PROTOCOL D1).
import type { Redis } from "ioredis";
import { readServerIdentity } from "../epoch/server-identity.ts";
import { globalKeys } from "./keys.ts";
import { StoreUnavailable } from "./store-error.ts";

/** How many replicas must have a write before it is acknowledged, and how long that may take. */
export interface ReplicaFenceOptions {
  readonly replicas: number;
  readonly timeoutMs: number;
  /** The connection that the writes go over. */
  readonly commands: Redis;
  /** A connection of its own: WAIT holds up whatever else its connection carries. */
  readonly waiting: Redis;
}

export interface ReplicaFence {
  /**
   * Settles when enough replicas have everything that `commands` was answered before this call; rejects
   * with StoreUnavailable when they have not in time: then nothing of it may be acknowledged.
   */
  settled(): Promise<void>;
  close(): void;
}

/** Makes the fence over open connections. */
export function createReplicaFence(options: ReplicaFenceOptions): ReplicaFence {
  const { replicas, timeoutMs, commands, waiting } = options;
  const serverOfCommands = rememberServer(commands);
  const serverOfWaiting = rememberServer(waiting);
  let running: Promise<unknown> = Promise.resolve();
  let next: Promise<void> | undefined;

  const round = async (): Promise<void> => {
    // Newer servers count for WAIT only what its own connection wrote, so it writes: what others wrote
    // before lies before this in the stream that replicas acknowledge.
    const write = waiting.incr(globalKeys.fence);
    const counting = waiting.wait(replicas, timeoutMs);
    write.catch(() => undefined);
    const count = await counting;
    await write;
    if (count < replicas) {
      throw shortOf(`${count} of ${replicas} replicas had the write within ${timeoutMs} ms`);
    }
  };

  return {
    async settled() {
      const server = serverOfCommands.current();
      // One that begins after this call covers everything that was answered before it; calls that come
      // while a round is under way share the next one.
      next ??= running
        .catch(() => undefined)
        .then(() => {
          next = undefined;
          const begun = round();
          running = begun;
          return begun;
        });
      try {
        const [before, waited] = await Promise.all([server, serverOfWaiting.current(), next]);
        // After a failover the two may lead to different servers; then the write may be lost (D2).
        if (before === waited && before === (await serverOfCommands.current())) return;
      } catch (cause) {
        if (cause instanceof StoreUnavailable) throw cause;
        throw shortOf("the replicas could not be asked", cause);
      }
      throw shortOf("redis was replaced meanwhile");
    },
    close() {
      serverOfCommands.forget();
      serverOfWaiting.forget();
    },
  };
}

function shortOf(problem: string, cause?: unknown): StoreUnavailable {
  return new StoreUnavailable("unknown", `as replicated: ${problem}`, { cause });
}

/** The server that a connection leads to, asked once for each life of the connection. */
function rememberServer(redis: Redis) {
  let asked: Promise<string> | undefined;
  const reset = (): void => {
    asked = undefined;
  };
  redis.on("close", reset);
  return {
    current(): Promise<string> {
      if (asked === undefined) {
        asked = redis.info("server").then((info) => readServerIdentity(info).runId);
        asked.catch(reset);
      }
      return asked;
    },
    forget: () => redis.off("close", reset),
  };
}
