// SPDX-License-Identifier: Apache-2.0
// Stands for node:net under a simulated agent and runner: sockets of the file system of one machine.

import { EventEmitter } from "node:events";
import { theProcess } from "../engine/globals.ts";
import type { Socket as Wire } from "../engine/network.ts";
import type { SimProcess } from "../engine/world.ts";
import { tapsOf } from "../observe/taps.ts";
import { theGrpcNetwork } from "../wire/grpc-wire.ts";
import { machineOf } from "./machine.ts";

export class Socket extends EventEmitter {
  writable = false;
  destroyed = false;
  #wire: Wire | undefined;
  #closed = false;
  readonly #process: SimProcess;

  constructor(process: SimProcess) {
    super();
    this.#process = process;
  }

  attach(wire: Wire): void {
    this.#wire = wire;
    this.writable = true;
    wire.onMessage((message) => this.emit("data", message as Buffer));
    wire.onClose((kind) => {
      if (kind === "closed") this.emit("end");
      this.#close();
    });
  }

  write(bytes: Uint8Array): boolean {
    if (!this.writable) return true;
    const copy = Buffer.from(bytes);
    const { world, name, host, rate } = this.#process;
    tapsOf(world)?.localBytes(name, host, copy, rate);
    this.#wire?.send(copy);
    return true;
  }

  end(done?: () => void): this {
    this.writable = false;
    this.#wire?.close();
    this.#process.world.after(0.05, this.#process, "socket ended", () => {
      done?.();
      this.#close();
    });
    return this;
  }

  destroy(): this {
    this.destroyed = true;
    this.#wire?.close();
    this.#process.world.after(0, this.#process, "socket destroyed", () => this.#close());
    return this;
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.writable = false;
    this.emit("close");
  }
}

export class Server extends EventEmitter {
  readonly #process = theProcess();
  #path = "";
  readonly #onSocket: (socket: Socket) => void;

  constructor(onSocket: (socket: Socket) => void) {
    super();
    this.#onSocket = onSocket;
  }

  listen(path: string, listening: () => void): this {
    const process = this.#process;
    const machine = machineOf(process);
    const address = `${process.host}/${path}#${process.pid}`;
    this.#path = path;
    machine.sockets.set(path, address);
    theGrpcNetwork().network.listen(address, process, (wire) => {
      const socket = new Socket(process);
      socket.attach(wire);
      this.#onSocket(socket);
    });
    process.world.after(0, process, "listening", listening);
    return this;
  }

  close(closed?: () => void): this {
    const { sockets } = machineOf(this.#process);
    if (sockets.get(this.#path)?.endsWith(`#${this.#process.pid}`)) sockets.delete(this.#path);
    this.#process.world.after(0, this.#process, "server closed", () => closed?.());
    return this;
  }
}

export function createServer(onSocket: (socket: Socket) => void): Server {
  return new Server(onSocket);
}

export function connect(path: string): Socket {
  const process = theProcess();
  const socket = new Socket(process);
  const address = machineOf(process).sockets.get(path) ?? `${process.host}/nobody`;
  theGrpcNetwork().network.dial(process, address, undefined, (result) => {
    if ("kind" in result) {
      socket.emit(
        "error",
        Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }),
      );
      return;
    }
    socket.attach(result);
    socket.emit("connect");
  });
  return socket;
}

export const createConnection = connect;
export const isIP = (): number => 0;
