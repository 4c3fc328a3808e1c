// SPDX-License-Identifier: Apache-2.0
// Links and calls between simulated services: the real link ends and handlers, over the simulated network.

import type { DescMethodBiDiStreaming } from "@bufbuild/protobuf";
import type { ConnectRouter, Transport } from "@connectrpc/connect";
import { remexError } from "@remex/domain";
import type { Clock, Logger } from "@remex/runtime";
import {
  createLocalTransport,
  type EventOf,
  type FrameLink,
  LinkClosed,
  type LinkTarget,
  type LocalLinks,
  type ServiceRole,
} from "@remex/transport";
import { createLinkEnd, type LinkEnd } from "../../../packages/transport/src/link-end.ts";
import type { CloseKind, Network, Socket } from "../engine/network.ts";
import type { SimProcess } from "../engine/world.ts";

type AnyLink = FrameLink<unknown, unknown>;
type Accept = (link: AnyLink) => void;

type InternalRequest =
  | { readonly kind: "link"; readonly method: string; readonly from: string }
  | {
      readonly kind: "call";
      readonly from: ServiceRole;
      readonly method: never;
      readonly input: unknown;
      readonly stream: boolean;
      readonly timeoutMs: number | undefined;
    };

type CallSays =
  | { readonly kind: "answer"; readonly response: unknown }
  | { readonly kind: "item"; readonly message: unknown }
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "done" };

const connectLimitMs = 5_000;

/** The internal port of one simulated service. */
export interface InternalPort {
  readonly localLinks: LocalLinks;
  readonly address: string;
  serve(routes: (router: ConnectRouter) => void): void;
  transportAt(address: string, from: ServiceRole): Transport;
}

export function openInternalPort(deps: {
  readonly network: Network;
  readonly process: SimProcess;
  readonly clock: Clock;
  readonly log: Logger;
}): InternalPort {
  const { network, process, clock, log } = deps;
  const address = `${process.host}/internal`;
  const accepts = new Map<string, Accept>();
  let routes: ((router: ConnectRouter) => void) | undefined;

  network.listen(address, process, (socket, message) => {
    const request = message as InternalRequest;
    if (request.kind === "call") {
      if (routes === undefined) socket.reset();
      else
        void answerCall(socket, request, createLocalTransport({ routes, role: request.from, log }));
      return;
    }
    const accept = accepts.get(request.method);
    if (accept === undefined) {
      socket.reset();
      return;
    }
    const end = createLinkEnd<unknown, unknown>({ peer: request.from, clock, greet: true });
    join(end, socket);
    accept(end);
  });

  return {
    address,
    serve: (added) => {
      const before = routes;
      routes = (router) => {
        before?.(router);
        added(router);
      };
    },
    localLinks: {
      serve: (_replica, method, accept) => accepts.set(nameOf(method), accept as Accept),
      dialler: (own, method, _remote) => (target, signal) =>
        dialLink({ network, process, clock, own, method, target, signal }) as never,
    },
    transportAt: (to, from) => createSimTransport(network, process, to, from),
  };
}

function nameOf(method: DescMethodBiDiStreaming): string {
  return `${method.parent.typeName}/${method.name}`;
}

function dialLink(deps: {
  readonly network: Network;
  readonly process: SimProcess;
  readonly clock: Clock;
  readonly own: { readonly replica: string; readonly hello: readonly EventOf<never>[] };
  readonly method: DescMethodBiDiStreaming;
  readonly target: LinkTarget;
  readonly signal: AbortSignal;
}): Promise<AnyLink> {
  const { network, process, clock, own, method, target, signal } = deps;
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const end = createLinkEnd<unknown, unknown>({ peer: target.id, clock });
    end.send(own.hello);
    const giveUp = () => end.fail(new LinkClosed("closed_here", "the dial was given up"));
    signal.addEventListener("abort", giveUp, { once: true });
    const cancel = clock.after(connectLimitMs, () =>
      end.fail(new LinkClosed("broken", `${target.id} did not answer`)),
    );
    void end.closed.then((reason) => {
      cancel();
      signal.removeEventListener("abort", giveUp);
      reject(reason);
    });
    const request: InternalRequest = { kind: "link", method: nameOf(method), from: own.replica };
    network.dial(process, target.address, request, (result) => {
      if ("kind" in result) {
        end.fail(new LinkClosed("broken", `${target.id} cannot be reached: ${result.kind}`));
        return;
      }
      join(end, result, () => {
        cancel();
        resolve(end);
      });
    });
  });
}

/** Ties a link's end to its connection: frames out, frames in, and both ends' end. */
function join(end: LinkEnd<unknown, unknown>, socket: Socket, onFirst?: () => void): void {
  let first = onFirst;
  void (async () => {
    for await (const events of end.frames()) socket.send(events);
    socket.close();
  })();
  void end.closed.then(({ code }) => {
    if (code !== "closed_here" && code !== "closed_by_peer") socket.reset();
  });
  socket.onMessage((message) => {
    first?.();
    first = undefined;
    end.received(message as unknown[]);
  });
  socket.onClose((kind: CloseKind) => {
    const code = kind === "closed" ? "closed_by_peer" : "broken";
    end.fail(new LinkClosed(code, `the connection to ${end.peer} ${kind}`));
  });
}

async function answerCall(
  socket: Socket,
  request: Extract<InternalRequest, { kind: "call" }>,
  transport: Transport,
): Promise<void> {
  const abort = new AbortController();
  socket.onClose(() => abort.abort());
  const { method, input, timeoutMs } = request;
  const say = (says: CallSays) => socket.send(says);
  try {
    if (!request.stream) {
      const response = await transport.unary(
        method,
        abort.signal,
        timeoutMs,
        undefined,
        input as never,
      );
      say({ kind: "answer", response });
    } else {
      const inputs = async function* () {
        yield input as never;
      };
      const { message } = await transport.stream(
        method,
        abort.signal,
        timeoutMs,
        undefined,
        inputs(),
      );
      for await (const item of message as AsyncIterable<unknown>) {
        if (abort.signal.aborted) return;
        say({ kind: "item", message: item });
      }
      say({ kind: "done" });
    }
  } catch (error) {
    say({ kind: "failed", error });
  }
  socket.close();
}

function unavailable(address: string, kind: string): Error {
  const service = address.split("/")[0] ?? address;
  return remexError("service_unavailable", { service }, { cause: new Error(kind) });
}

/** A transport to the service at an address, for the unary and server-streaming calls there are. */
export function createSimTransport(
  network: Network,
  process: SimProcess,
  address: string,
  from: ServiceRole,
): Transport {
  const open = (request: InternalRequest): Promise<Socket> =>
    new Promise((resolve, reject) => {
      network.dial(process, address, request, (result) => {
        if ("kind" in result) reject(unavailable(address, result.kind));
        else resolve(result);
      });
    });
  return {
    async unary(method, signal, timeoutMs, _header, input) {
      const request = {
        kind: "call",
        from,
        method: method as never,
        input,
        stream: false,
        timeoutMs,
      };
      const socket = await open(request as InternalRequest);
      return await new Promise((resolve, reject) => {
        const limit = setTimeout(() => {
          socket.reset();
          reject(unavailable(address, "late"));
        }, timeoutMs ?? 10_000);
        const finish = (done: () => void) => {
          clearTimeout(limit);
          done();
        };
        signal?.addEventListener("abort", () => socket.reset(), { once: true });
        socket.onMessage((message) => {
          const says = message as CallSays;
          if (says.kind === "answer") finish(() => resolve(says.response as never));
          else if (says.kind === "failed") finish(() => reject(says.error as Error));
        });
        socket.onClose((kind) => finish(() => reject(unavailable(address, kind))));
      });
    },
    async stream(method, signal, timeoutMs, _header, input) {
      let first: unknown;
      for await (const item of input) {
        first = item;
        break;
      }
      const request = {
        kind: "call",
        from,
        method: method as never,
        input: first,
        stream: true,
        timeoutMs,
      };
      const socket = await open(request as InternalRequest);
      signal?.addEventListener("abort", () => socket.reset(), { once: true });
      return {
        stream: true,
        service: method.parent,
        method,
        header: new Headers(),
        trailer: new Headers(),
        message: itemsOf(socket, address, signal) as never,
      };
    },
  };
}

async function* itemsOf(
  socket: Socket,
  address: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<unknown> {
  const queue: CallSays[] = [];
  let wake = (): void => undefined;
  const put = (says: CallSays) => {
    queue.push(says);
    wake();
  };
  socket.onMessage((message) => put(message as CallSays));
  socket.onClose((kind) => put({ kind: "failed", error: unavailable(address, kind) }));
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
