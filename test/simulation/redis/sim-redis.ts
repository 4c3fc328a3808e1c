// SPDX-License-Identifier: Apache-2.0
// The simulated Redis server: a process of the world in front of the real one, with its own time and faults.

import { Deferred, type Network, type Socket } from "../engine/network.ts";
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

/** A task or a session as a call left it; without fields when it is gone. */
export interface StoreRow {
  readonly key: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** A call of a function as it happened in the store. */
export interface SeenCall {
  readonly about: unknown;
  readonly reply: RespValue;
  readonly from: string;
  readonly atMs: number;
  readonly touched: readonly StoreRow[];
}

/** Sees each function call, in the order in which they happened. */
export type StoreWatcher = (call: SeenCall) => void;

/** How long the server takes for a command. */
const workMs: readonly [number, number] = [0.02, 0.08];
/** After so long those who watch the store know of a call at the latest, answered or not. */
const latestSeenMs = 3;

export class SimRedis {
  readonly world: World;
  readonly #engine: RedisEngine;
  readonly #network: Network;
  readonly #libraries: Set<string>;
  readonly #watch: StoreWatcher;
  readonly #subscribers = new Map<string, Set<Socket>>();
  /** Commands that changed or may have changed the data, for a return to an earlier state. */
  #history: Change[] = [];
  /** What was answered since the last change and would be answered again. */
  readonly #answers = new Map<string, Answer>();
  /** Commands under way that may write. */
  #writers = 0;
  /** Calls that were carried out and whose watchers do not know yet, oldest first. */
  readonly #unseen: CallUnderWay[] = [];
  /** Commands that wait for their turn, that under way first. */
  readonly #queue: { readonly socket: Socket; readonly request: RedisRequest }[] = [];
  /** Functions that were loaded in this world, whatever the server has from others. */
  readonly #functions = new Set<string>();
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
    this.#queue.length = 0;
    this.#subscribers.clear();
  }

  /** Starts it again: the same data, another run. */
  restart(): void {
    this.#runId += 1;
    this.#process = this.#start();
  }

  /** Forgets the latest changes: what a promoted replica does not have. */
  async loseLast(changes: number): Promise<void> {
    await this.#settled();
    const kept = this.#history.slice(0, Math.max(0, this.#history.length - changes));
    let last = this.#engine.take(["FLUSHALL"]);
    for (const { command } of kept) last = this.#engine.take(command);
    this.#engine.flush();
    await last;
    this.#history = kept;
    this.#answers.clear();
  }

  /** Number of changes that a return to an earlier state can take back. */
  async countChanges(): Promise<number> {
    await this.#settled();
    return this.#history.length;
  }

  async wipe(): Promise<void> {
    await this.#settled();
    await this.#engine.send(["FLUSHALL"]);
    this.#history = [];
    this.#answers.clear();
    this.#functions.clear();
  }

  /** Waits for what is under way, and forgets what turned out to have changed nothing. */
  async #settled(): Promise<void> {
    const last = this.#unseen.at(-1);
    if (last !== undefined) await this.#see(last);
    this.#history = this.#history.filter(({ wrote }) => wrote);
  }

  /** The tasks and sessions that it has. */
  async rows(): Promise<StoreRow[]> {
    const keys = await this.#engine.send(["KEYS", "rmx:{*}:*"]);
    const names = (Array.isArray(keys) ? keys.map(String) : []).filter((key) =>
      /:(task|session):[^:]*$/.test(key),
    );
    const rows = names.sort().map(async (key) => ({
      key,
      fields: fieldsOf(await this.#engine.take(["HGETALL", key])),
    }));
    this.#engine.flush();
    return Promise.all(rows);
  }

  #start(): SimProcess {
    const process = this.world.createProcess(`redis-${this.#runId}`, "redis");
    this.#network.listen(redisAddress, process, (socket) => this.#serve(socket));
    return process;
  }

  #serve(socket: Socket): void {
    socket.onMessage((message) => {
      this.#queue.push({ socket, request: message as RedisRequest });
      if (this.#queue.length === 1) this.#work();
    });
    socket.onClose(() => {
      for (const sockets of this.#subscribers.values()) sockets.delete(socket);
    });
  }

  /** One command after the other. */
  #work(): void {
    const takesMs = this.#process.random.between(workMs[0], workMs[1]) + this.slowMs;
    this.world.after(takesMs, this.#process, "redis", () => {
      const next = this.#queue.shift();
      if (next !== undefined) this.#execute(next.socket, next.request);
      if (this.#queue.length > 0) this.#work();
    });
  }

  #execute(socket: Socket, request: RedisRequest): void {
    const { id } = request;
    const name = String(request.command[0]).toUpperCase();
    const { trace, nowMs } = this.world;
    if (trace.everyEvent) trace.add(nowMs, socket.remoteHost, `${id}`, name);
    const own = this.#answerItself(name, request, socket);
    if (own !== undefined) {
      socket.send({ kind: "reply", id, value: own } satisfies RedisSays);
      return;
    }
    // The real server works while other events happen; its answer is waited for where it matters.
    const call = this.#begin(name, request, socket.remoteHost);
    this.#unseen.push(call);
    socket.send(
      new Deferred(async () => {
        await this.#see(call);
        return { kind: "reply", id, value: call.value } satisfies RedisSays;
      }),
    );
    this.world.after(latestSeenMs, undefined, "seen", () =>
      call.seen ? undefined : this.#see(call),
    );
  }

  /** Waits for the answers up to this call, and tells those who watch the store, in order. */
  async #see(call: CallUnderWay): Promise<void> {
    this.#engine.flush();
    while (!call.seen) {
      const first = this.#unseen[0];
      if (first === undefined) return;
      await first.running;
      if (first.seen) continue;
      this.#unseen.shift();
      first.seen = true;
      if (first.about !== undefined && first.called) {
        const { about, value: reply, from, atMs, touched } = first;
        this.#watch({ about, reply, from, atMs, touched });
      }
      for (const [channel, text] of first.published) this.#publish(channel, text);
    }
  }

  #begin(name: string, { command, about }: RedisRequest, from: string): CallUnderWay {
    const call: CallUnderWay = {
      ...{ about, from, atMs: this.world.nowMs, seen: false, called: false },
      ...{
        value: null,
        published: [],
        touched: [],
        wrote: false,
        timeless: false,
        running: Promise.resolve(),
      },
    };
    call.running = this.#run(name, command, call);
    return call;
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
        return this.#functions.has(String(command[1]))
          ? undefined
          : new RespError("ERR Function not found");
      default:
        return undefined;
    }
  }

  async #run(name: string, command: readonly CommandPart[], call: CallUnderWay): Promise<void> {
    if (name === "FUNCTION") {
      call.value = await this.#load(command);
      return;
    }
    const asked = command.join("\u0000");
    const known = this.#writers === 0 ? this.#answers.get(asked) : undefined;
    if (known !== undefined) {
      Object.assign(call, known);
      return;
    }
    const isFunction = name === "FCALL";
    const change: Change = {
      command: isFunction ? [...command, this.timeMs()] : command,
      wrote: true,
    };
    const mayWrite = isFunction || changing.has(name);
    if (mayWrite) {
      this.#writers += 1;
      this.#history.push(change);
    }
    const answer = answerOf(name, await this.#engine.take(change.command));
    Object.assign(call, answer);
    if (mayWrite) this.#writers -= 1;
    change.wrote = mayWrite && answer.wrote;
    if (change.wrote) this.#answers.clear();
    else if (this.#writers === 0 && answer.timeless) this.#answers.set(asked, answer);
  }

  async #load(command: readonly CommandPart[]): Promise<RespValue> {
    const code = String(command.at(-1));
    for (const [, name = ""] of code.matchAll(/register_function\('([^']+)'/g))
      this.#functions.add(name);
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

/** A call that was carried out, and may not have been answered yet. */
interface CallUnderWay extends Answer {
  readonly about: unknown;
  readonly from: string;
  readonly atMs: number;
  running: Promise<void>;
  seen: boolean;
}

interface Answer {
  value: RespValue;
  /** True when a function of the store ran. */
  called: boolean;
  published: readonly (readonly [string, string])[];
  touched: readonly StoreRow[];
  wrote: boolean;
  /** True when it would be the same at another time. */
  timeless: boolean;
}

interface Change {
  readonly command: readonly CommandPart[];
  /** False when it turned out to have changed nothing. */
  wrote: boolean;
}

/** Plain commands of the product that write. */
const changing: ReadonlySet<string> = new Set([
  ...["SET", "DEL", "HSET", "HDEL", "SADD", "SREM", "ZADD", "ZREM", "HSETNX", "SETNX", "EXPIRE"],
]);

function answerOf(name: string, reply: RespValue): Answer {
  if (name !== "FCALL") {
    const value =
      name === "SMEMBERS" && Array.isArray(reply)
        ? reply.toSorted((a, b) => (String(a) < String(b) ? -1 : 1))
        : reply;
    return {
      value,
      called: false,
      published: [],
      touched: [],
      wrote: changing.has(name),
      timeless: true,
    };
  }
  if (!Array.isArray(reply)) {
    return {
      value: reply,
      called: false,
      published: [],
      touched: [],
      wrote: true,
      timeless: false,
    };
  }
  const [said, wrote, timed, rows, value = null] = reply;
  const published = pairsOf(said).map(([channel, text]): [string, string] => [
    String(channel),
    String(text),
  ]);
  const touched = pairsOf(rows).map(
    ([key, row]): StoreRow => ({ key: String(key), fields: fieldsOf(row) }),
  );
  return { value, called: true, published, touched, wrote: wrote !== 0, timeless: timed === 0 };
}

function pairsOf(value: RespValue | undefined): [RespValue, RespValue][] {
  const items = Array.isArray(value) ? value : [];
  const pairs: [RespValue, RespValue][] = [];
  for (let at = 0; at + 1 < items.length; at += 2) {
    pairs.push([items[at] ?? null, items[at + 1] ?? null]);
  }
  return pairs;
}

function fieldsOf(row: RespValue): Record<string, string> {
  return Object.fromEntries(pairsOf(row).map(([name, value]) => [String(name), String(value)]));
}

function text(value: string | number): Buffer {
  return Buffer.from(String(value));
}
