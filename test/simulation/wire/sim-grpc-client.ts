// SPDX-License-Identifier: Apache-2.0
// Stands for packages/transport/src/grpc-client.ts in a simulation: the same client, over the simulated network.

import { EventEmitter } from "node:events";
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { Metadata, status } from "@grpc/grpc-js";
import { toGrpcMethod } from "@remex/transport";
import { theProcess } from "../engine/globals.ts";
import type { Socket } from "../engine/network.ts";
import type { SimProcess } from "../engine/world.ts";
import { dialGrpc, type GrpcSays } from "./grpc-wire.ts";

/** Where a client dials to: a name that the simulation resolves at each dial. */
export interface GrpcChannel {
  readonly address: string;
}

export function grpcChannelFor(settings: { readonly url: string }): GrpcChannel {
  return { address: settings.url };
}

interface CallOptions {
  readonly metadata?: Metadata;
}

/** Builds a client; every call has a connection of its own. */
export function grpcClientFor(service: DescService, channel: GrpcChannel): Record<string, unknown> {
  const process = theProcess();
  const calls = new Set<ClientCall>();
  const client: Record<string, unknown> = {
    close: () => {
      for (const call of calls) call.drop();
    },
  };
  for (const method of service.methods) {
    client[method.localName] = (options?: CallOptions) => {
      const call = new ClientCall(process, method, channel.address, options?.metadata);
      calls.add(call);
      call.once("status", () => calls.delete(call));
      return call;
    };
  }
  return client;
}

/** The client's side of a bidirectional call, as grpc-js shows it. */
class ClientCall extends EventEmitter {
  readonly #process: SimProcess;
  readonly #wire: ReturnType<typeof toGrpcMethod>;
  #socket: Socket | undefined;
  #waiting: GrpcSays[] = [];
  #over = false;

  constructor(process: SimProcess, method: DescMethod, address: string, metadata = new Metadata()) {
    super();
    this.#process = process;
    this.#wire = toGrpcMethod(method as never);
    const request = { path: this.#wire.path, metadata: metadata.clone() };
    dialGrpc(process, address, request, (result) => {
      if ("kind" in result) {
        this.#fail(status.UNAVAILABLE, `connection ${result.kind}`);
        return;
      }
      if (this.#over) {
        result.reset();
        return;
      }
      this.#socket = result;
      result.onMessage((message) => this.#take(message as GrpcSays));
      result.onClose((kind) => this.#fail(status.UNAVAILABLE, `connection ${kind}`));
      for (const says of this.#waiting.splice(0)) result.send(says);
    });
  }

  write(message: unknown): boolean {
    this.#say({ kind: "frame", bytes: this.#wire.requestSerialize(message as never) });
    return true;
  }

  end(): void {
    this.#say({ kind: "half_close" });
  }

  cancel(): void {
    this.#say({ kind: "cancel" });
    this.#fail(status.CANCELLED, "cancelled on the client");
  }

  /** The connection is dropped under the call. */
  drop(): void {
    if (this.#over) return;
    this.#socket?.reset();
    this.#fail(status.CANCELLED, "the client was closed");
  }

  #say(says: GrpcSays): void {
    if (this.#over) return;
    if (this.#socket === undefined) this.#waiting.push(says);
    else this.#socket.send(says);
  }

  #take(says: GrpcSays): void {
    if (this.#over) return;
    if (says.kind === "frame") {
      this.emit("data", this.#wire.responseDeserialize(says.bytes));
    } else if (says.kind === "status") {
      this.#over = true;
      this.#socket?.close();
      if (says.status.code === status.OK) this.emit("end");
      else this.#error(says.status.code, says.status.details, says.status.metadata);
      this.emit("status", says.status);
    }
  }

  #fail(code: status, details: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#socket?.reset();
    const metadata = new Metadata();
    this.#process.world.after(0, this.#process, "call failed", () => {
      this.#error(code, details, metadata);
      this.emit("status", { code, details, metadata });
    });
  }

  #error(code: status, details: string, metadata: Metadata): void {
    if (this.listenerCount("error") === 0) return;
    this.emit("error", Object.assign(new Error(details), { code, details, metadata }));
  }
}
