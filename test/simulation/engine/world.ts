// SPDX-License-Identifier: Apache-2.0
// The simulated world: one queue of events in simulated time, and the processes that they happen to.

import { createRng, type Rng } from "./random.ts";
import type { Trace } from "./trace.ts";

/** The real functions, taken before the globals are replaced. */
const realImmediate = globalThis.setImmediate;

interface WorldEvent {
  atMs: number;
  order: number;
  readonly process: SimProcess | undefined;
  readonly what: string;
  readonly run: () => void | Promise<void>;
  cancelled: boolean;
}

export type Cancel = () => void;

/** An error that a process did not handle: always a fault of ours. */
export interface Crash {
  readonly process: string;
  readonly error: unknown;
}

/** One simulated process: alive until it is killed, asleep while it is paused. */
export class SimProcess {
  readonly world: World;
  readonly name: string;
  /** Where it runs: the network is cut between hosts, and a disk belongs to one. */
  readonly host: string;
  readonly pid: number;
  readonly random: Rng;
  alive = true;
  paused = false;
  /** Events that came while it was paused, in order. */
  readonly backlog: WorldEvent[] = [];
  /** How fast its clock runs beside true time. */
  readonly rate: number;
  /** What its wall clock is ahead of true time. */
  wallOffsetMs: number;
  readonly startedAtMs: number;
  readonly #onKilled: (() => void)[] = [];

  constructor(world: World, name: string, host: string, clock: ProcessClock) {
    this.world = world;
    this.name = name;
    this.host = host;
    this.pid = world.nextPid();
    this.random = world.random.fork(`process/${name}`);
    this.rate = clock.rate;
    this.wallOffsetMs = clock.wallOffsetMs;
    this.startedAtMs = world.nowMs;
  }

  /** Monotonic time of its host, which began before it did. */
  monotonicMs(): number {
    return this.world.nowMs * this.rate;
  }

  wallMs(): number {
    return this.world.epochMs + this.world.nowMs + this.wallOffsetMs;
  }

  /** Something to be done when it ends, in the order in which it was said. */
  onKilled(listener: () => void): void {
    this.#onKilled.push(listener);
  }

  /** Ends it at once: nothing of it happens any more. */
  kill(): void {
    if (!this.alive) return;
    this.alive = false;
    this.backlog.length = 0;
    for (const listener of this.#onKilled) listener();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    for (const event of this.backlog.splice(0)) this.world.requeue(event);
  }
}

export interface ProcessClock {
  readonly rate: number;
  readonly wallOffsetMs: number;
}

const accurate: ProcessClock = { rate: 1, wallOffsetMs: 0 };

export class World {
  readonly seed: number;
  readonly random: Rng;
  readonly trace: Trace;
  /** Wall time at the beginning. */
  readonly epochMs = 1_794_000_000_000;
  nowMs = 0;
  /** The process whose event happens; undefined between events and for the world's own. */
  current: SimProcess | undefined;
  readonly crashes: Crash[] = [];
  /** Number of events that happened. */
  steps = 0;
  readonly #queue: WorldEvent[] = [];
  #order = 0;
  #pid = 1_000;
  readonly #afterStep: (() => void)[] = [];

  constructor(seed: number, trace: Trace) {
    this.seed = seed;
    this.random = createRng(seed);
    this.trace = trace;
  }

  nextPid(): number {
    return this.#pid++;
  }

  createProcess(name: string, host: string, clock: ProcessClock = accurate): SimProcess {
    return new SimProcess(this, name, host, clock);
  }

  /** Called after every event that happened. */
  afterEachStep(check: () => void): void {
    this.#afterStep.push(check);
  }

  /** Lets something happen to a process (or to the world itself) after some time. */
  after(
    delayMs: number,
    process: SimProcess | undefined,
    what: string,
    run: () => void | Promise<void>,
  ): Cancel {
    const atMs = this.nowMs + Math.max(0, delayMs);
    const event = { atMs, order: this.#order++, process, what, run, cancelled: false };
    this.#push(event);
    return () => {
      event.cancelled = true;
    };
  }

  requeue(event: WorldEvent): void {
    event.atMs = this.nowMs;
    event.order = this.#order++;
    this.#push(event);
  }

  /** Runs `code` as the process, for starting it. */
  as(process: SimProcess, code: () => void): void {
    const before = this.current;
    this.current = process;
    try {
      code();
    } finally {
      this.current = before;
    }
  }

  /** Lets events happen until `untilMs`, or until `stop` says so. */
  async run(untilMs: number, stop: () => boolean = () => false): Promise<void> {
    for (;;) {
      const event = this.#queue[0];
      if (event === undefined || event.atMs > untilMs) break;
      this.#pop();
      if (event.cancelled) continue;
      const { process } = event;
      if (process !== undefined && !process.alive) continue;
      this.nowMs = Math.max(this.nowMs, event.atMs);
      if (process?.paused) {
        process.backlog.push(event);
        continue;
      }
      await this.#happen(event);
      if (stop()) return;
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }

  async #happen(event: WorldEvent): Promise<void> {
    this.steps += 1;
    this.current = event.process;
    if (this.trace.everyEvent)
      this.trace.add(this.nowMs, event.process?.name ?? "world", event.what);
    try {
      const waiting = event.run();
      if (waiting !== undefined) await waiting;
    } catch (error) {
      this.crash(error);
    }
    await drained();
    this.current = undefined;
    for (const check of this.#afterStep) check();
  }

  /** A process failed to handle an error. */
  crash(error: unknown): void {
    this.crashes.push({ process: this.current?.name ?? "world", error });
  }

  #push(event: WorldEvent): void {
    const queue = this.#queue;
    let at = queue.length;
    queue.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = queue[parent] as WorldEvent;
      if (isBefore(above, event)) break;
      queue[at] = above;
      at = parent;
    }
    queue[at] = event;
  }

  #pop(): void {
    const queue = this.#queue;
    const last = queue.pop() as WorldEvent;
    const size = queue.length;
    if (size === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (
        child + 1 < size &&
        isBefore(queue[child + 1] as WorldEvent, queue[child] as WorldEvent)
      ) {
        child += 1;
      }
      if (isBefore(last, queue[child] as WorldEvent)) break;
      queue[at] = queue[child] as WorldEvent;
      at = child;
    }
    queue[at] = last;
  }
}

function isBefore(a: WorldEvent, b: WorldEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** Settles when every promise that could settle by itself has: what an event caused is done then. */
function drained(): Promise<void> {
  return new Promise((resolve) => realImmediate(resolve));
}
