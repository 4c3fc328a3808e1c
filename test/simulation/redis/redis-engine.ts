// SPDX-License-Identifier: Apache-2.0
// The real Redis under the simulated one: a private server, one connection, commands strictly in order.

import { connect, type Socket } from "node:net";
import { startPrivateRedis } from "@remex/store/testing";
import { encodeCommand, RespReader, type RespValue } from "./resp.ts";

export type CommandPart = string | number | Uint8Array;

export interface RedisEngine {
  /**
   * Takes a command; they run in the order in which they are taken. They are sent together, with the
   * next `flush`: a write of many costs what a write of one does.
   */
  take(command: readonly CommandPart[]): Promise<RespValue>;
  flush(): void;
  /** Takes a command and sends it at once. */
  send(command: readonly CommandPart[]): Promise<RespValue>;
  stop(): Promise<void>;
}

/** Lists, hashes and sorted sets stay in their compact form, which is read in the order it was written. */
const inOrder = [
  ["hash-max-listpack-entries", "1000000"],
  ["hash-max-listpack-value", "10000000"],
  ["zset-max-listpack-entries", "1000000"],
  ["zset-max-listpack-value", "10000000"],
].flatMap(([name, value]) => [`--${name}`, value ?? ""]);

export async function startRedisEngine(): Promise<RedisEngine> {
  const server = await startPrivateRedis(["--appendonly", "no", ...inOrder]);
  const socket = await open(server.url.slice("unix://".length));
  const waiting: { resolve(value: RespValue): void; reject(error: Error): void }[] = [];
  const reader = new RespReader();
  socket.on("data", (piece: Buffer) => {
    for (const value of reader.push(piece)) waiting.shift()?.resolve(value);
  });
  let stopped = false;
  const broken = (): void => {
    if (stopped) return;
    for (const { reject } of waiting.splice(0)) reject(new Error("the simulation's redis is gone"));
  };
  socket.on("error", broken);
  socket.on("close", broken);
  let unsent: Buffer[] = [];
  const take = (command: readonly CommandPart[]): Promise<RespValue> =>
    new Promise((resolve, reject) => {
      waiting.push({ resolve, reject });
      unsent.push(encodeCommand(command));
    });
  const flush = (): void => {
    if (unsent.length === 0) return;
    socket.write(unsent.length === 1 ? (unsent[0] as Buffer) : Buffer.concat(unsent));
    unsent = [];
  };
  return {
    take,
    flush,
    send: (command) => {
      const reply = take(command);
      flush();
      return reply;
    },
    stop: async () => {
      stopped = true;
      socket.destroy();
      await server.stop();
    },
  };
}

function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}
