// SPDX-License-Identifier: Apache-2.0
// Stands for packages/store/src/core/redis.ts in a simulation: the same connections, over the simulated network.

import { AsyncLocalStorage } from "node:async_hooks";
import { EventEmitter } from "node:events";
import { theProcess, theWorld } from "../engine/globals.ts";
import type { Network, Socket } from "../engine/network.ts";
import type { CommandPart } from "./redis-engine.ts";
import { RespError, type RespValue } from "./resp.ts";
import { type RedisRequest, type RedisSays, redisAddress } from "./sim-redis.ts";

const reconnectFirstMs = 50;
const reconnectMostMs = 1_000;

/** A call of a function, by its name, as those who watch the store want to know it. */
export interface CallAbout {
  readonly name: string;
}

let network: Network | undefined;
const calls = new AsyncLocalStorage<CallAbout>();

/** The network that connections of this world go over. */
export function useNetwork(next: Network): void {
  network = next;
}

/** Makes a call of the store, and says what it is about to those who watch the store. */
export function callAbout<Reply>(about: CallAbout, call: () => Promise<Reply>): Promise<Reply> {
  return calls.run(about, call);
}

/** What a call is about; what it brought about in turn is another matter. */
function aboutOf([command, name]: readonly CommandPart[]): CallAbout | undefined {
  const about = calls.getStore();
  return command === "FCALL" && about?.name === name ? about : undefined;
}

/** What ioredis rejects with when Redis itself answered an error. */
class ReplyError extends Error {
  override readonly name = "ReplyError";
}

interface Waiting {
  resolve(value: RespValue): void;
  reject(error: Error): void;
}

class SimRedisConnection extends EventEmitter {
  status = "connecting";
  #socket: Socket | undefined;
  #next = 1;
  #tries = 0;
  readonly #waiting = new Map<number, Waiting>();
  readonly #process = theProcess();

  connect(): Promise<void> {
    this.#dial();
    return Promise.resolve();
  }

  disconnect(): void {
    this.status = "end";
    this.#socket?.close();
    this.#fail();
  }

  async command(args: readonly CommandPart[]): Promise<RespValue> {
    const about = aboutOf(args);
    const socket = this.#socket;
    if (this.status !== "ready" || socket === undefined) {
      throw new Error("Stream isn't writeable and enableOfflineQueue options is false");
    }
    const id = this.#next++;
    return await new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      socket.send({ id, command: args, about } satisfies RedisRequest);
    });
  }

  #dial(): void {
    if (network === undefined) throw new Error("no network was given");
    network.dial(this.#process, redisAddress, undefined, (result) => {
      if (this.status === "end") return;
      if ("kind" in result) {
        this.emit("error", new Error(`connect: ${result.kind}`));
        this.#redial();
        return;
      }
      this.#socket = result;
      this.status = "ready";
      this.#tries = 0;
      result.onMessage((message) => this.#take(message as RedisSays));
      result.onClose(() => this.#closed());
      this.emit("ready");
    });
  }

  #take(says: RedisSays): void {
    if (says.kind === "message") {
      this.emit("message", says.channel, says.message);
      return;
    }
    const waiting = this.#waiting.get(says.id);
    this.#waiting.delete(says.id);
    if (says.value instanceof RespError) waiting?.reject(new ReplyError(says.value.message));
    else waiting?.resolve(says.value);
  }

  #closed(): void {
    this.#socket = undefined;
    if (this.status === "end") return;
    this.status = "reconnecting";
    this.#fail();
    this.emit("close");
    this.#redial();
  }

  #fail(): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(new Error("Connection is closed."));
  }

  #redial(): void {
    this.status = "reconnecting";
    const delayMs = Math.min(reconnectFirstMs * 2 ** Math.min(this.#tries++, 10), reconnectMostMs);
    theWorld().after(delayMs, this.#process, "redial", () => {
      if (this.status !== "end") this.#dial();
    });
  }
}

function plain(value: RespValue): unknown {
  if (Buffer.isBuffer(value)) return value.toString();
  return Array.isArray(value) ? value.map(plain) : value;
}

function asObject(value: RespValue): Record<string, string> {
  const flat = Array.isArray(value) ? value.map(String) : [];
  const fields: Record<string, string> = {};
  for (let at = 0; at + 1 < flat.length; at += 2) fields[flat[at] ?? ""] = flat[at + 1] ?? "";
  return fields;
}

/** Everything that ioredis has a method for, as a command of that name. */
function withCommands(connection: SimRedisConnection): unknown {
  const flat = (args: unknown[]): CommandPart[] => args.flat(3) as CommandPart[];
  return new Proxy(connection, {
    get(target, name) {
      if (typeof name === "string" && !(name in target) && name !== "then") {
        const upper = name.toUpperCase();
        if (name === "call") {
          return async (...args: unknown[]) => plain(await target.command(flat(args)));
        }
        if (name === "callBuffer") return (...args: unknown[]) => target.command(flat(args));
        if (name === "hgetall") {
          return async (key: string) => asObject(await target.command([upper, key]));
        }
        return async (...args: unknown[]) => plain(await target.command([upper, ...flat(args)]));
      }
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

export interface RedisTarget {
  readonly url: string;
  readonly connectionName: string;
  readonly onError?: (error: Error) => void;
}

/** As the real one: opens both connections, which come up and come back by themselves. */
export function openRedis(target: RedisTarget) {
  const open = () => {
    const connection = new SimRedisConnection();
    connection.on("error", (error: Error) => target.onError?.(error));
    void connection.connect();
    return connection;
  };
  const commands = open();
  const subscriptions = open();
  return {
    commands: withCommands(commands),
    subscriptions: withCommands(subscriptions),
    close: () => {
      commands.disconnect();
      subscriptions.disconnect();
    },
  };
}

export function isRedisReady(redis: { readonly status: string }): boolean {
  return redis.status === "ready";
}
