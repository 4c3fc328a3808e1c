// SPDX-License-Identifier: Apache-2.0
// Gathers what is said to the other end of the runner's socket and writes it as few frames.

import type { Socket } from "node:net";
import { Pacer } from "@remex/runtime";
import { encodeFrames } from "./framing.ts";

const paceMs = 1;
/** What is not urgent goes with the next frame, or by itself after this time. */
const lazyMs = 50;

/** The sending side of one connection between agent and runner. */
export class FrameWriter<Event extends object> {
  readonly #socket: Socket;
  readonly #pacer: Pacer;
  #waiting: Event[] = [];
  #lazy: NodeJS.Timeout | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#pacer = new Pacer(paceMs, () => this.flush());
  }

  send(event: Event): void {
    this.#waiting.push(event);
    this.#pacer.request();
  }

  /** Keeps the order, and saves a frame where one follows soon. */
  sendLazily(event: Event): void {
    this.#waiting.push(event);
    this.#lazy ??= setTimeout(() => this.flush(), lazyMs);
  }

  /** Writes what waits at once. */
  flush(): void {
    this.#pacer.written();
    clearTimeout(this.#lazy);
    this.#lazy = undefined;
    const events = this.#waiting;
    this.#waiting = [];
    if (events.length === 0 || !this.#socket.writable) return;
    for (const frame of encodeFrames(events)) this.#socket.write(frame);
  }
}
