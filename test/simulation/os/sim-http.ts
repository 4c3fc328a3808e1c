// SPDX-License-Identifier: Apache-2.0
// Stands for node:http under a simulated agent: a loopback server that nobody calls.

import { EventEmitter } from "node:events";
import { theProcess } from "../engine/globals.ts";
import { machineOf } from "./machine.ts";

export class Server extends EventEmitter {
  readonly #port = machineOf(theProcess()).nextPort();

  listen(_port: number, _host: string, listening: () => void): this {
    const process = theProcess();
    process.world.after(0, process, "listening", listening);
    return this;
  }

  address(): { readonly port: number } {
    return { port: this.#port };
  }

  close(closed?: () => void): this {
    closed?.();
    return this;
  }

  closeAllConnections(): void {}
}

export function createServer(): Server {
  return new Server();
}
