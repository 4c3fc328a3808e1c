// SPDX-License-Identifier: Apache-2.0
// The simulated Redis server: a process of the world in front of the real one, with its own time and faults.

import type { Network, Socket } from "../engine/network.ts";
import type { SimProcess, World } from "../engine/world.ts";
import type { CommandPart, RedisEngine } from "./redis-engine.ts";
import { RespError, type RespValue } from "./resp.ts";
import { withSimulatedTime } from "./simulated-time.ts";

/** Where clients find it. */
export const redisAddress = "redis/6379";

/** What a client sends. */
export interface RedisRequest {
  readonly id: number;
  readonly command: readonly CommandPart[];
  /** What the caller knows about the call, for those who watch the store. */
  readonly about: unknown;
}

/** What the server says. */
export type RedisSays =
  | { readonly kind: "reply"; readonly id: number; readonly value: RespValue }
  | { readonly kind: "message"; readonly channel: string; readonly message: string };

/** Sees each function call as it happened in the store, in order. */
export type StoreWatcher = (about: unknown, reply: RespValue, process: string) => void;

/** How long the server takes for a command. */
const workMs: readonly [number, number] = [0.02, 0.08];

export class SimRedis {
  readonly world: World;
  readonly #engine: RedisEngine;
  readonly #network: Network;
  readonly #libraries: Set<string>;
  readonly #watch: StoreWatcher;
  readonly #subscribers = new Map<string, Set<Socket>>();
  /** Commands that changed or may have changed the data, for a return to an earlier state. */
  #history: (readonly CommandPart[])[] = [];
  #functionsThere = false;
  #process: SimProcess;
  #runId = 1;
  /** Its clock beside true time. */
  clockOffsetMs = 0;
  /** Added to what each command takes. */
  slowMs = 0;

  constructor(deps: {
    readonly world: World;
    readonly network: Network;
    readonly engine: RedisEngine;
    /** Names of libraries that the engine has already, over the seeds of one process. */
    readonly loadedLibraries: Set<string>;
    readonly watch: StoreWatcher;
  }) {
    this.world = deps.world;
    this.#network = deps.network;
    this.#engine = deps.engine;
    this.#libraries = deps.loadedLibraries;
    this.#watch = deps.watch;
    this.#process = this.#start();
  }

  get process(): SimProcess {
    return this.#process;
  }

  timeMs(): number {
    return Math.floor(this.world.epochMs + this.world.nowMs + this.clockOffsetMs);
  }

  /** Kills the server; its data stay for the next start. */
  kill(): void {
    this.#process.kill();
    this.#subscribers.clear();
  }

  /** Starts it again: the same data, another run. */
  restart(): void {
    this.#runId += 1;
    this.#process = this.#start();
  }

  /** Forgets the latest changes: what a promoted replica does not have. */
  async loseLast(commands: number): Promise<void> {
    const kept = this.#history.slice(0, Math.max(0, this.#history.length - commands));
    await this.#engine.send(["FLUSHALL"]);
    let last: Promise<RespValue> | undefined;
    for (const command of kept) last = this.#engine.send(command);
    await last;
    this.#history = kept;
  }

  /** Number of commands that a return to an earlier state can take back. */
  get changes(): number {
    return this.#history.length;
  }

  async wipe(): Promise<void> {
    await this.#engine.send(["FLUSHALL"]);
    this.#history = [];
    this.#functionsThere = false;
  }

  /** A command of the simulation itself, outside of simulated time. */
  peek(command: readonly CommandPart[]): Promise<RespValue> {
    return this.#engine.send(command);
  }

  #start(): SimProcess {
    const process = this.world.createProcess(`redis-${this.#runId}`, "redis");
    this.#network.listen(redisAddress, process, (socket) => this.#serve(socket));
    return process;
  }

  #serve(socket: Socket): void {
    let freeAtMs = 0;
    socket.onMessage((message) => {
      const request = message as RedisRequest;
      const random = this.#process.random;
      const takesMs = random.between(workMs[0], workMs[1]) + this.slowMs;
      freeAtMs = Math.max(freeAtMs, this.world.nowMs) + takesMs;
      this.#execute(socket, request, freeAtMs);
    });
    socket.onClose(() => {
      for (const sockets of this.#subscribers.values()) sockets.delete(socket);
    });
  }

  #execute(socket: Socket, request: RedisRequest, atMs: number): void {
    const process = this.#process;
    this.world.after(atMs - this.world.nowMs, process, "redis", () => {
      const name = String(request.command[0]).toUpperCase();
      const own = this.#answerItself(name, request, socket);
      if (own !== undefined) {
        socket.send({ kind: "reply", id: request.id, value: own } satisfies RedisSays);
        return;
      }
      // The real server works while other events happen; nobody sees its answer before this instant.
      const running = this.#run(name, request.command);
      this.world.after(0.01, process, "redis answered", async () => {
        const { value, published } = await running;
        const called = name === "FCALL" && !(value instanceof RespError);
        if (called && request.about !== undefined)
          this.#watch(request.about, value, socket.remoteHost);
        socket.send({ kind: "reply", id: request.id, value } satisfies RedisSays);
        for (const [channel, text] of published) this.#publish(channel, text);
      });
    });
  }

  #answerItself(name: string, { command }: RedisRequest, socket: Socket): RespValue | undefined {
    switch (name) {
      case "TIME": {
        const ms = this.timeMs();
        return [text(Math.floor(ms / 1000)), text((ms % 1000) * 1000)];
      }
      case "INFO":
        return text(
          `redis_version:7.4.0\r\nrun_id:${String(this.#runId).padStart(40, "0")}\r\n` +
            "maxmemory_policy:noeviction\r\naof_enabled:1\r\nrole:master\r\nconnected_slaves:0\r\n",
        );
      case "SUBSCRIBE":
        for (const channel of command.slice(1)) {
          const sockets = this.#subscribers.get(String(channel)) ?? new Set();
          this.#subscribers.set(String(channel), sockets.add(socket));
        }
        return 1;
      case "PUBLISH":
        this.#publish(String(command[1]), String(command[2]));
        return 0;
      case "FUNCTION":
        return undefined;
      case "FCALL":
        return this.#functionsThere ? undefined : new RespError("ERR Function not found");
      default:
        return undefined;
    }
  }

  async #run(
    name: string,
    command: readonly CommandPart[],
  ): Promise<{ value: RespValue; published: [string, string][] }> {
    if (name === "FUNCTION") return { value: await this.#load(command), published: [] };
    if (name !== "FCALL") {
      if (changing.has(name)) this.#history.push(command);
      const value = await this.#engine.send(command);
      if (name === "SMEMBERS" && Array.isArray(value))
        value.sort((a, b) => (String(a) < String(b) ? -1 : 1));
      return { value, published: [] };
    }
    const timed = [...command, this.timeMs()];
    this.#history.push(timed);
    const value = await this.#engine.send(timed);
    if (!Array.isArray(value)) return { value, published: [] };
    const [said, reply = null] = value;
    const published: [string, string][] = [];
    const items = Array.isArray(said) ? said.map(String) : [];
    for (let at = 0; at + 1 < items.length; at += 2) {
      published.push([items[at] ?? "", items[at + 1] ?? ""]);
    }
    return { value: reply, published };
  }

  async #load(command: readonly CommandPart[]): Promise<RespValue> {
    this.#functionsThere = true;
    const code = String(command.at(-1));
    if (this.#libraries.has(code)) return text("loaded");
    const value = await this.#engine.send(["FUNCTION", "LOAD", "REPLACE", withSimulatedTime(code)]);
    if (value instanceof RespError) throw new Error(`a library cannot be loaded: ${value.message}`);
    this.#libraries.add(code);
    return value;
  }

  #publish(channel: string, message: string): void {
    for (const socket of this.#subscribers.get(channel) ?? []) {
      socket.send({ kind: "message", channel, message } satisfies RedisSays);
    }
  }
}

/** Plain commands of the product that write. */
const changing: ReadonlySet<string> = new Set([
  "SET",
  "DEL",
  "HSET",
  "HDEL",
  "SADD",
  "SREM",
  "ZADD",
  "ZREM",
]);

function text(value: string | number): Buffer {
  return Buffer.from(String(value));
}
