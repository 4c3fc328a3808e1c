// SPDX-License-Identifier: Apache-2.0
// Stands for packages/transport/src/grpc-server.ts in a simulation: the same server, on the simulated network.

import { EventEmitter } from "node:events";
import type { DescService } from "@bufbuild/protobuf";
import { Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { RemexError } from "@remex/domain";
import { grpcStatusOf, internalFailure, toGrpcMethod } from "@remex/transport";
import { theProcess } from "../engine/globals.ts";
import type { Socket } from "../engine/network.ts";
import { tapsOf } from "../observe/taps.ts";
import { type GrpcRequest, type GrpcSays, theGrpcNetwork } from "./grpc-wire.ts";

export const maxMessageBytes = 1024 * 1024;

type Handler = (call: ServerCall) => unknown;

interface ServedMethod {
  readonly wire: ReturnType<typeof toGrpcMethod>;
  readonly handle: Handler;
}

export interface ServeGrpcOptions {
  register(services: {
    add(service: DescService, handlers: Readonly<Record<string, Handler | undefined>>): void;
  }): void;
  readonly log: never;
}

/** Serves on the host of the process that asks. */
export function serveGrpc(options: ServeGrpcOptions): Promise<unknown> {
  const process = theProcess();
  const methods = new Map<string, ServedMethod>();
  options.register({
    add(service, handlers) {
      for (const method of service.methods) {
        const handle = handlers[method.localName];
        if (handle === undefined) continue;
        const wire = toGrpcMethod(method as never);
        methods.set(wire.path, { wire, handle: handle.bind(handlers) });
      }
    },
  });
  const calls = new Set<ServerCall>();
  let open = true;
  theGrpcNetwork().network.listen(`${process.host}/agents`, process, (socket, request) => {
    const { path, metadata } = request as GrpcRequest;
    const method = methods.get(path);
    const call = new ServerCall(socket, metadata, method?.wire);
    if (method === undefined || !open) {
      const code = open ? status.UNIMPLEMENTED : status.UNAVAILABLE;
      call.emit("error", { code, details: "not served here", metadata: new Metadata() });
      return;
    }
    calls.add(call);
    call.once("close", () => calls.delete(call));
    Promise.resolve()
      .then(() => method.handle(call))
      .catch((error: unknown) => call.emit("error", statusOf(error, path, options.log)));
  });
  return Promise.resolve({
    address: { host: process.host, port: 8701 },
    close: async () => {
      open = false;
      for (const call of calls) call.drop();
    },
  });
}

function statusOf(error: unknown, path: string, log: never): StatusObject {
  const failure = error instanceof RemexError ? error.failure : internalFailure(error, path, log);
  return grpcStatusOf(failure);
}

/** The server's side of a bidirectional call, as grpc-js shows it. */
class ServerCall extends EventEmitter {
  readonly metadata: Metadata;
  readonly #socket: Socket;
  readonly #wire: ServedMethod["wire"] | undefined;
  #paused = false;
  #waiting: GrpcSays[] = [];
  #over = false;
  cancelled = false;

  constructor(socket: Socket, metadata: Metadata, wire: ServedMethod["wire"] | undefined) {
    super();
    this.metadata = metadata;
    this.#socket = socket;
    this.#wire = wire;
    this.on("error", (said: StatusObject) => this.#finish(said));
    socket.onMessage((message) => {
      this.#waiting.push(message as GrpcSays);
      this.#read();
    });
    socket.onClose(() => this.#cancelled());
    const { process } = socket;
    process.onKilled(() => tapsOf(process.world)?.streamGone(this));
  }

  getPeer(): string {
    return `10.0.0.${1 + (this.#socket.remoteHost.length % 200)}:40000`;
  }

  write(message: unknown): boolean {
    if (this.#over || this.#wire === undefined) return true;
    const { world, name } = this.#socket.process;
    tapsOf(world)?.frameToAgent(this, name, message);
    const bytes = this.#wire.responseSerialize(message as never);
    this.#socket.send({ kind: "frame", bytes } satisfies GrpcSays);
    return true;
  }

  end(): void {
    this.#finish({ code: status.OK, details: "", metadata: new Metadata() });
  }

  pause(): this {
    this.#paused = true;
    return this;
  }

  resume(): this {
    this.#paused = false;
    this.#read();
    return this;
  }

  /** The connection is dropped under the call. */
  drop(): void {
    this.#socket.reset();
    this.#cancelled();
  }

  #read(): void {
    while (!this.#paused && !this.#over) {
      const says = this.#waiting.shift();
      if (says === undefined) return;
      if (says.kind === "frame") this.emit("data", this.#wire?.requestDeserialize(says.bytes));
      else if (says.kind === "half_close") this.emit("end");
      else if (says.kind === "cancel") this.#cancelled();
    }
  }

  #finish(said: StatusObject): void {
    if (this.#over) return;
    this.#over = true;
    this.#socket.send({ kind: "status", status: said } satisfies GrpcSays);
    this.#socket.close();
    this.#gone();
  }

  #cancelled(): void {
    if (this.#over) return;
    this.#over = true;
    this.cancelled = true;
    this.emit("cancelled");
    this.#gone();
  }

  #gone(): void {
    tapsOf(this.#socket.process.world)?.streamGone(this);
    this.emit("close");
  }
}

/** Ends a stream with a failure. */
export function endGrpcStream(call: EventEmitter, error: RemexError): void {
  call.emit("error", grpcStatusOf(error.failure));
}

/** The address of the peer of a call, without its port. */
export function peerAddressOf(call: { getPeer(): string }): string {
  return call.getPeer().replace(/:\d+$/, "");
}
