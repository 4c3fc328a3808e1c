// SPDX-License-Identifier: Apache-2.0
// Stands for @connectrpc/connect-node under our transport: calls and streams over the simulated network.

import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { theProcess } from "../engine/globals.ts";
import type { Socket } from "../engine/network.ts";
import type { SimProcess } from "../engine/world.ts";
import { theGrpcNetwork } from "./grpc-wire.ts";
import { type CallRequest, type CallSays, itemsOf } from "./internal-port.ts";

/** One connection to a server, as far as its end matters: every call on it ends with it. */
export class Http2SessionManager {
  readonly baseUrl: string;
  readonly sockets = new Set<Socket>();

  constructor(baseUrl: string) {
    this.baseUrl = baseUrl;
  }

  abort(): void {
    for (const socket of this.sockets) socket.reset();
    this.sockets.clear();
  }
}

interface TransportOptions {
  readonly baseUrl: string;
  readonly sessionManager: Http2SessionManager;
  readonly interceptors?: readonly Interceptor[];
}

function unavailable(baseUrl: string, kind: string): ConnectError {
  const cause = Object.assign(new Error(`connection to ${baseUrl} ${kind}`), {
    code: kind === "refused" ? "ECONNREFUSED" : "ECONNRESET",
  });
  return new ConnectError(cause.message, Code.Unavailable, undefined, undefined, cause);
}

/** The headers that the interceptors put on a call. */
async function headersOf(interceptors: readonly Interceptor[]): Promise<Headers> {
  const header = new Headers();
  let next = ((request: unknown) => Promise.resolve(request)) as unknown as ReturnType<Interceptor>;
  for (const interceptor of interceptors.toReversed()) next = interceptor(next);
  await next({ header } as never);
  return header;
}

export function createGrpcTransport(options: TransportOptions): Transport {
  const process = theProcess();
  const { baseUrl, sessionManager, interceptors = [] } = options;

  async function open(request: Omit<CallRequest, "header">): Promise<Socket> {
    const header = await headersOf(interceptors);
    const socket = await dial(process, baseUrl, { ...request, header });
    sessionManager.sockets.add(socket);
    return socket;
  }

  return {
    async unary(method, signal, timeoutMs, _header, input) {
      const socket = await open({ method: method as never, stream: false, timeoutMs });
      socket.send({ kind: "item", message: input } satisfies CallSays);
      const done = Promise.withResolvers<never>();
      const limit = setTimeout(() => {
        done.reject(new ConnectError("the call took too long", Code.DeadlineExceeded));
      }, timeoutMs ?? 10_000);
      signal?.addEventListener("abort", () => done.reject(signal.reason), { once: true });
      socket.onMessage((message) => {
        const says = message as CallSays;
        if (says.kind === "answer") done.resolve(says.response as never);
        else if (says.kind === "failed") done.reject(says.error);
      });
      socket.onClose((kind) => done.reject(unavailable(baseUrl, kind)));
      try {
        return await done.promise;
      } finally {
        clearTimeout(limit);
        sessionManager.sockets.delete(socket);
        socket.close();
      }
    },
    async stream(method, signal, timeoutMs, _header, input) {
      const socket = await open({ method: method as never, stream: true, timeoutMs });
      signal?.addEventListener("abort", () => socket.reset(), { once: true });
      void pump(socket, input);
      return {
        stream: true,
        service: method.parent,
        method,
        header: new Headers(),
        trailer: new Headers(),
        message: itemsOf(socket, signal, (kind) => unavailable(baseUrl, kind)) as never,
      };
    },
  };
}

async function pump(socket: Socket, input: AsyncIterable<unknown>): Promise<void> {
  for await (const message of input) socket.send({ kind: "item", message } satisfies CallSays);
  socket.send({ kind: "done" } satisfies CallSays);
}

function dial(process: SimProcess, baseUrl: string, request: CallRequest): Promise<Socket> {
  const { hostname } = new URL(baseUrl);
  return new Promise((resolve, reject) => {
    theGrpcNetwork().network.dial(process, `${hostname}/internal`, request, (result) => {
      if ("kind" in result) reject(unavailable(baseUrl, result.kind));
      else resolve(result);
    });
  });
}

/** The simulation serves by `openInternalPort` instead. */
export function connectNodeAdapter(): never {
  throw new Error("the simulation opens no real port");
}
