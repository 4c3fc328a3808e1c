// SPDX-License-Identifier: Apache-2.0
// The internal port of a simulated service: its real handlers, called for what comes over the network.

import type { ConnectRouter, Transport } from "@connectrpc/connect";
import type { Logger } from "@remex/runtime";
import { createLocalTransport, type ServiceRole, serviceHeader } from "@remex/transport";
import type { CloseKind, Network, Socket } from "../engine/network.ts";
import type { SimProcess } from "../engine/world.ts";

/** What a connection is opened for. */
export interface CallRequest {
  readonly method: never;
  readonly stream: boolean;
  readonly header: Headers;
  readonly timeoutMs: number | undefined;
}

export type CallSays =
  | { readonly kind: "item"; readonly message: unknown }
  | { readonly kind: "answer"; readonly response: unknown }
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "done" };

export interface InternalPort {
  /** What other services find in the record of this one. */
  readonly address: string;
  serve(routes: (router: ConnectRouter) => void): void;
}

export function openInternalPort(deps: {
  readonly network: Network;
  readonly process: SimProcess;
  readonly log: Logger;
}): InternalPort {
  const { network, process, log } = deps;
  const registered: ((router: ConnectRouter) => void)[] = [];
  const transports = new Map<string, Transport>();
  const transportFor = (role: string): Transport => {
    const routes = (router: ConnectRouter): void => {
      for (const add of registered) add(router);
    };
    const known = transports.get(role);
    const transport = known ?? createLocalTransport({ routes, role: role as ServiceRole, log });
    transports.set(role, transport);
    return transport;
  };
  network.listen(`${process.host}/internal`, process, (socket, message) => {
    const request = message as CallRequest;
    const transport = transportFor(request.header.get(serviceHeader) ?? "gateway");
    void (request.stream
      ? answerStream(socket, request, transport)
      : answerCall(socket, request, transport));
  });
  return {
    address: `http://${process.host}:8702`,
    serve: (routes) => {
      registered.push(routes);
      transports.clear();
    },
  };
}

async function answerCall(
  socket: Socket,
  request: CallRequest,
  transport: Transport,
): Promise<void> {
  const abort = new AbortController();
  socket.onClose(() => abort.abort());
  const { method, timeoutMs } = request;
  socket.onMessage((message) => {
    const says = message as CallSays;
    if (says.kind !== "item") return;
    transport.unary(method, abort.signal, timeoutMs, undefined, says.message as never).then(
      (response) => socket.send({ kind: "answer", response } satisfies CallSays),
      (error: unknown) => socket.send({ kind: "failed", error } satisfies CallSays),
    );
  });
}

async function answerStream(
  socket: Socket,
  request: CallRequest,
  transport: Transport,
): Promise<void> {
  const abort = new AbortController();
  const inputs = itemsOf(socket, abort.signal, (kind) => {
    abort.abort();
    return new Error(`the caller's connection ${kind}`);
  });
  const { method, timeoutMs } = request;
  try {
    const { message } = await transport.stream(
      method,
      abort.signal,
      timeoutMs,
      undefined,
      inputs as never,
    );
    for await (const item of message as AsyncIterable<unknown>) {
      socket.send({ kind: "item", message: item } satisfies CallSays);
    }
    socket.send({ kind: "done" } satisfies CallSays);
  } catch (error) {
    socket.send({ kind: "failed", error } satisfies CallSays);
  }
  socket.close();
}

/** What the far side says on a stream, until it is done, fails, or its connection ends. */
export async function* itemsOf(
  socket: Socket,
  signal: AbortSignal | undefined,
  failureOf: (kind: CloseKind) => unknown,
): AsyncGenerator<unknown> {
  const queue: CallSays[] = [];
  let wake = (): void => undefined;
  const put = (says: CallSays) => {
    queue.push(says);
    wake();
  };
  socket.onMessage((message) => put(message as CallSays));
  socket.onClose((kind) => put({ kind: "failed", error: failureOf(kind) }));
  signal?.addEventListener("abort", () => put({ kind: "failed", error: signal.reason }), {
    once: true,
  });
  for (;;) {
    const says = queue.shift();
    if (says === undefined) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    } else if (says.kind === "item") yield says.message;
    else if (says.kind === "failed") throw says.error;
    else return;
  }
}
