// SPDX-License-Identifier: Apache-2.0
// Gathers what is said in one turn of the event loop and writes it to the socket as one frame.

import type { Socket } from "node:net";
import { encodeFrames } from "./framing.ts";

/** The sending side of one connection between agent and runner. */
export class FrameWriter<Event extends object> {
  readonly #socket: Socket;
  #waiting: Event[] = [];
  #scheduled: NodeJS.Immediate | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  send(event: Event): void {
    this.#waiting.push(event);
    this.#scheduled ??= setImmediate(() => this.flush());
  }

  /** Writes what waits at once. */
  flush(): void {
    if (this.#scheduled !== undefined) clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    const events = this.#waiting;
    this.#waiting = [];
    if (events.length === 0 || !this.#socket.writable) return;
    for (const frame of encodeFrames(events)) this.#socket.write(frame);
  }
}
