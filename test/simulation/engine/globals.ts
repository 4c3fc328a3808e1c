// SPDX-License-Identifier: Apache-2.0
// Replaces timers, clocks and randomness of Node, so that code of a simulated process gets simulated ones.

import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import type { SimProcess, World } from "./world.ts";

/** Time that passes between two turns of a process's event loop. */
const turnMs = 0.02;

let world: World | undefined;
let installed = false;

/** The world that code runs in now; throws outside of a simulation. */
export function theWorld(): World {
  if (world === undefined) throw new Error("there is no simulation under way");
  return world;
}

/** The simulated process whose code runs now; throws when none does. */
export function theProcess(): SimProcess {
  const process = world?.current;
  if (process === undefined) throw new Error("no simulated process runs now");
  return process;
}

/** Makes `next` the world that simulated code sees; undefined after its end. */
export function enterWorld(next: World | undefined): void {
  world = next;
  if (!installed) install();
  installed = true;
}

class SimTimer {
  readonly #start: (timer: SimTimer) => () => void;
  #cancel: () => void;

  constructor(start: (timer: SimTimer) => () => void) {
    this.#start = start;
    this.#cancel = start(this);
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }

  refresh(): this {
    this.#cancel();
    this.#cancel = this.#start(this);
    return this;
  }

  close(): this {
    this.#cancel();
    return this;
  }

  again(cancel: () => void): void {
    this.#cancel = cancel;
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }
}

type Callback = (...args: unknown[]) => void;

function install(): void {
  installTimers();
  installClocks();
  installRandomness();
  installFailures();
}

function installTimers(): void {
  const real = { setTimeout, setInterval, setImmediate };
  const clear = { clearTimeout, clearInterval, clearImmediate };
  const startAfter = (process: SimProcess, what: string, delayMs: number, run: () => void) =>
    process.world.after(delayMs / process.rate, process, what, run);
  replace("setTimeout", (callback: Callback, delayMs?: number, ...args: unknown[]) => {
    const process = world?.current;
    if (process === undefined) return real.setTimeout(callback, delayMs, ...args);
    const delay = Math.max(1, delayMs ?? 1);
    return new SimTimer(() => startAfter(process, "timeout", delay, () => callback(...args)));
  });
  replace("setInterval", (callback: Callback, periodMs?: number, ...args: unknown[]) => {
    const process = world?.current;
    if (process === undefined) return real.setInterval(callback, periodMs, ...args);
    const period = Math.max(1, periodMs ?? 1);
    return new SimTimer((timer) => {
      const turn = (): void => {
        timer.again(startAfter(process, "interval", period, turn));
        callback(...args);
      };
      return startAfter(process, "interval", period, turn);
    });
  });
  replace("setImmediate", (callback: Callback, ...args: unknown[]) => {
    const process = world?.current;
    if (process === undefined) return real.setImmediate(callback, ...args);
    return new SimTimer(() => startAfter(process, "immediate", turnMs, () => callback(...args)));
  });
  for (const name of ["clearTimeout", "clearInterval", "clearImmediate"] as const) {
    replace(name, (timer: unknown) => {
      if (timer instanceof SimTimer) timer.close();
      else clear[name](timer as never);
    });
  }
}

function installClocks(): void {
  const realNow = performance.now.bind(performance);
  Object.defineProperty(performance, "now", {
    value: () => world?.current?.monotonicMs() ?? realNow(),
  });
  const RealDate = Date;
  const wallMs = () => Math.floor(world?.current?.wallMs() ?? RealDate.now());
  class SimDate extends RealDate {
    constructor(...args: [number?]) {
      if (args.length === 0) super(wallMs());
      else super(...(args as [number]));
    }

    static override now(): number {
      return wallMs();
    }
  }
  replace("Date", SimDate);
}

function installRandomness(): void {
  const realRandom = Math.random;
  Math.random = () => world?.current?.random.next() ?? realRandom();
  const fill = (process: SimProcess, bytes: Uint8Array): void => {
    for (let at = 0; at < bytes.length; at++) bytes[at] = process.random.int(0, 255);
  };
  const realBytes = crypto.randomBytes;
  const realUuid = crypto.randomUUID;
  const simBytes = (size: number): Buffer => {
    const process = world?.current;
    if (process === undefined) return realBytes(size);
    const bytes = Buffer.alloc(size);
    fill(process, bytes);
    return bytes;
  };
  crypto.randomBytes = simBytes as typeof crypto.randomBytes;
  crypto.randomUUID = ((options?: crypto.RandomUUIDOptions) => {
    if (world?.current === undefined) return realUuid(options);
    const hex = simBytes(16).toString("hex");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
  }) as typeof crypto.randomUUID;
  syncBuiltinESMExports();
}

/** What a promise of a simulated process failed with, and nobody handled. */
function installFailures(): void {
  process.on("unhandledRejection", (error) => {
    if (world === undefined) throw error;
    world.crash(error);
  });
}

function replace(name: string, value: unknown): void {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}
