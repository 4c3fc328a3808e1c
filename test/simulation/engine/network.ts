// SPDX-License-Identifier: Apache-2.0
// The simulated network: ordered connections between hosts, which can be slow, cut one way, or broken.

import type { Rng } from "./random.ts";
import type { Cancel, SimProcess, World } from "./world.ts";

/** Why a connection ended, as its end learns it. */
export type CloseKind = "closed" | "reset" | "timed_out";

/** A message whose content is known only when it arrives. */
export class Deferred {
  readonly ready: () => Promise<unknown>;

  constructor(ready: () => Promise<unknown>) {
    this.ready = ready;
  }
}

/** One end of a connection. Messages arrive in order, each once, or not at all after a break. */
export interface Socket {
  readonly process: SimProcess;
  readonly remoteHost: string;
  readonly open: boolean;
  send(message: unknown): void;
  /** Sets the receiver; what came before is handed to it first. */
  onMessage(receive: (message: unknown) => void): void;
  /** Called once when the other end closed, or the connection broke; not for one's own close. */
  onClose(closed: (kind: CloseKind) => void): void;
  /** Ends it after what was sent has arrived. */
  close(): void;
  /** Breaks it: what is under way is lost. */
  reset(): void;
}

export interface DialRefused {
  readonly kind: "refused" | "timed_out";
}

interface Listener {
  readonly process: SimProcess;
  readonly accept: (socket: Socket, request: unknown) => void;
}

/** How the network behaves when nothing is wrong with it. */
export interface NetworkProfile {
  readonly delayMs: readonly [number, number];
  /** How often a message takes `spikeMs` longer. */
  readonly spikeChance: number;
  readonly spikeMs: readonly [number, number];
}

/** A connection over which nothing came through for so long is given up by both ends. */
const silentLimitMs = 30_000;
/** A dial that nobody answers is given up. */
const dialLimitMs = 10_000;
/** What TCP needs to find out that the way is free again. */
const resendMs: readonly [number, number] = [50, 1_500];

export class Network {
  readonly world: World;
  profile: NetworkProfile;
  readonly #random: Rng;
  readonly #listeners = new Map<string, Listener>();
  readonly #connections = new Set<Connection>();
  readonly #cuts = new Map<string, number>();

  constructor(world: World, profile: NetworkProfile) {
    this.world = world;
    this.profile = profile;
    this.#random = world.random.fork("network");
  }

  listen(address: string, process: SimProcess, accept: Listener["accept"]): void {
    this.#listeners.set(address, { process, accept });
    process.onKilled(() => {
      if (this.#listeners.get(address)?.process === process) this.#listeners.delete(address);
    });
  }

  /** Connects; `request` says what for, and reaches the listener with the connection. */
  dial(
    from: SimProcess,
    address: string,
    request: unknown,
    done: (result: Socket | DialRefused) => void,
  ): void {
    const toHost = hostOf(address);
    const answer = (result: Socket | DialRefused, delayMs: number): void => {
      this.world.after(delayMs, from, "dialled", () => done(result));
    };
    if (this.isCut(from.host, toHost) || this.isCut(toHost, from.host)) {
      answer({ kind: "timed_out" }, dialLimitMs);
      return;
    }
    this.world.after(this.delay(), undefined, "dial", () => {
      const listener = this.#listeners.get(address);
      if (listener === undefined || !from.alive) {
        answer({ kind: "refused" }, this.delay());
        return;
      }
      const connection = new Connection(this, from, listener.process, () =>
        this.#connections.delete(connection),
      );
      this.#connections.add(connection);
      this.world.after(0, listener.process, "accept", () => {
        listener.accept(connection.server, request);
      });
      answer(connection.client, this.delay());
    });
  }

  isCut(fromHost: string, toHost: string): boolean {
    return this.#cuts.has(`${fromHost}>${toHost}`);
  }

  /** Nothing gets from one host to the other any more; messages wait, as TCP's do. */
  cut(fromHost: string, toHost: string): void {
    if (fromHost === toHost) return;
    const name = `${fromHost}>${toHost}`;
    this.#cuts.set(name, (this.#cuts.get(name) ?? 0) + 1);
    for (const connection of this.#connections) connection.cutChanged(fromHost, toHost);
  }

  heal(fromHost: string, toHost: string): void {
    const name = `${fromHost}>${toHost}`;
    const count = this.#cuts.get(name) ?? 0;
    if (count > 1) {
      this.#cuts.set(name, count - 1);
      return;
    }
    this.#cuts.delete(name);
    for (const connection of this.#connections) connection.cutChanged(fromHost, toHost);
  }

  healAll(): void {
    for (const name of [...this.#cuts.keys()]) {
      const [from = "", to = ""] = name.split(">");
      this.#cuts.set(name, 1);
      this.heal(from, to);
    }
  }

  /** Breaks every connection between two hosts; both ends learn of it when they can. */
  breakBetween(hostA: string, hostB: string): void {
    for (const connection of [...this.#connections]) {
      if (connection.joins(hostA, hostB)) connection.breakOff();
    }
  }

  delay(): number {
    const { delayMs, spikeChance, spikeMs } = this.profile;
    const base = this.#random.between(delayMs[0], delayMs[1]);
    return this.#random.chance(spikeChance)
      ? base + this.#random.between(spikeMs[0], spikeMs[1])
      : base;
  }

  resendDelay(): number {
    return this.#random.between(resendMs[0], resendMs[1]);
  }
}

/** `<host>/<service>`: what a listener is found by. */
function hostOf(address: string): string {
  return address.split("/")[0] ?? address;
}

type Deliver = () => void | Promise<void>;

class Connection {
  readonly client: End;
  readonly server: End;
  readonly #network: Network;
  readonly #done: () => void;
  #over = false;

  constructor(network: Network, client: SimProcess, server: SimProcess, done: () => void) {
    this.#network = network;
    this.#done = done;
    this.client = new End(network, this, client, server.host);
    this.server = new End(network, this, server, client.host);
    this.client.join(this.server);
    this.server.join(this.client);
    for (const end of [this.client, this.server]) {
      end.process.onKilled(() => end.died());
    }
  }

  joins(hostA: string, hostB: string): boolean {
    const { host: from } = this.client.process;
    const { host: to } = this.server.process;
    return (from === hostA && to === hostB) || (from === hostB && to === hostA);
  }

  cutChanged(fromHost: string, toHost: string): void {
    for (const end of [this.client, this.server]) {
      if (end.process.host === fromHost && end.remoteHost === toHost) end.wayChanged();
    }
  }

  /** A box in between forgets it: both sides are reset as soon as they can be reached. */
  breakOff(): void {
    if (this.#over) return;
    this.client.fail("reset", this.#network.delay());
    this.server.fail("reset", this.#network.delay());
    this.over();
  }

  timedOut(): void {
    this.client.fail("timed_out", 0);
    this.server.fail("timed_out", 0);
    this.over();
  }

  over(): void {
    if (this.#over) return;
    this.#over = true;
    this.#done();
  }
}

class End implements Socket {
  readonly process: SimProcess;
  readonly remoteHost: string;
  open = true;
  readonly #network: Network;
  readonly #connection: Connection;
  #peer: End | undefined;
  #receive: ((message: unknown) => void) | undefined;
  #closed: ((kind: CloseKind) => void) | undefined;
  #closedAs: CloseKind | undefined;
  #early: unknown[] = [];
  /** What waits for the way to be free. */
  #stalled: Deliver[] = [];
  #lastAtMs = 0;
  #cancelLimit: Cancel | undefined;

  constructor(network: Network, connection: Connection, process: SimProcess, remoteHost: string) {
    this.#network = network;
    this.#connection = connection;
    this.process = process;
    this.remoteHost = remoteHost;
  }

  join(peer: End): void {
    this.#peer = peer;
    if (this.#isCut()) this.wayChanged();
  }

  send(message: unknown): void {
    if (!this.open) return;
    if (message instanceof Deferred) {
      this.#transmit(async () => this.#peer?.arrive(await message.ready()));
    } else this.#transmit(() => this.#peer?.arrive(message));
  }

  onMessage(receive: (message: unknown) => void): void {
    this.#receive = receive;
    for (const message of this.#early.splice(0)) receive(message);
  }

  onClose(closed: (kind: CloseKind) => void): void {
    this.#closed = closed;
    if (this.#closedAs !== undefined) closed(this.#closedAs);
  }

  close(): void {
    if (!this.open) return;
    this.open = false;
    this.#transmit(() => {
      this.#peer?.ended("closed");
      this.#connection.over();
    });
  }

  reset(): void {
    if (!this.open) return;
    this.open = false;
    this.#stalled = [];
    this.#transmit(() => {
      this.#peer?.ended("reset");
      this.#connection.over();
    });
  }

  /** The process of this end is gone: the kernel tells the other one, if it can. */
  died(): void {
    if (!this.open) return;
    this.open = false;
    this.#transmit(() => {
      this.#peer?.ended("reset");
      this.#connection.over();
    });
  }

  /** This end learns that the connection is of no use. */
  fail(kind: CloseKind, delayMs: number): void {
    this.#stalled = [];
    this.#network.world.after(delayMs, this.process, "connection broke", () => this.ended(kind));
  }

  /** The way from this end to the other was cut, or is free again. */
  wayChanged(): void {
    const { world } = this.#network;
    if (this.#isCut()) {
      this.#cancelLimit ??= world.after(silentLimitMs, undefined, "silent for long", () => {
        this.#cancelLimit = undefined;
        if (this.#isCut()) this.#connection.timedOut();
      });
      return;
    }
    this.#cancelLimit?.();
    this.#cancelLimit = undefined;
    const waiting = this.#stalled.splice(0);
    this.#lastAtMs = Math.max(this.#lastAtMs, world.nowMs + this.#network.resendDelay());
    for (const deliver of waiting) this.#transmit(deliver);
  }

  arrive(message: unknown): void {
    const { world } = this.#network;
    world.after(0, this.process, "message", () => {
      if (!this.open && this.#closedAs === undefined) return;
      if (this.#receive === undefined) this.#early.push(message);
      else this.#receive(message);
    });
  }

  ended(kind: CloseKind): void {
    const { world } = this.#network;
    world.after(0, this.process, "closed", () => {
      if (!this.open) return;
      this.open = false;
      this.#closedAs = kind;
      this.#closed?.(kind);
    });
  }

  #isCut(): boolean {
    return this.#network.isCut(this.process.host, this.remoteHost);
  }

  #transmit(deliver: Deliver): void {
    if (this.#isCut()) {
      this.#stalled.push(deliver);
      return;
    }
    const { world } = this.#network;
    const atMs = Math.max(this.#lastAtMs, world.nowMs + this.#network.delay());
    this.#lastAtMs = atMs;
    // What is under way when a cut begins is lost with its packets and sent again afterwards.
    world.after(atMs - world.nowMs, undefined, "transmit", () => {
      if (!this.#isCut()) return deliver();
      this.#stalled.push(deliver);
      return undefined;
    });
  }
}
