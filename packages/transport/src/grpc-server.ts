// SPDX-License-Identifier: Apache-2.0
// Serves gRPC with grpc-js behind a listener of our own: backlog, first-byte deadline, clear errors.

import { createServer, type Server as NetServer, type Socket } from "node:net";
import type { DescService } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerOptions,
  type ServerUnaryCall,
  type ServerWritableStream,
  type UntypedHandleCall,
} from "@grpc/grpc-js";
import { RemexError } from "@remex/domain";
import { type ListenAddress, type Logger, listenError } from "@remex/runtime";
import { failureFromConnect } from "./connect-errors.ts";
import { type GrpcServiceHandlers, toGrpcDefinition } from "./grpc-definition.ts";
import { grpcStatusOf } from "./grpc-errors.ts";
import { internalFailure } from "./internal-failure.ts";
import { listenOn } from "./listen.ts";

/** Largest message on the control doors (SEC-L1). */
export const maxMessageBytes = 1024 * 1024;

export interface ServeGrpcOptions {
  readonly listen: ListenAddress;
  /** The option that chooses the address, for the message when it is in use. */
  readonly flag: string;
  /** Adds the services. */
  register(services: GrpcServices): void;
  readonly log: Logger;
  /** Largest message taken, in bytes. Absence means 1 MiB. */
  readonly maxMessageBytes?: number;
  /** Further options of grpc-js, for example keepalive. */
  readonly channelOptions?: ServerOptions;
  /** How long a connection may stay without sending anything after it was opened. Absence means 5 s. */
  readonly firstByteTimeoutMs?: number;
}

/** Adds services to a grpc-js server. */
export interface GrpcServices {
  add<Service extends DescService>(service: Service, handlers: GrpcServiceHandlers<Service>): void;
}

export interface RunningServer {
  /** Where it listens, with the port that it got. */
  readonly address: ListenAddress;
  /** Takes no more connections, lets calls end for `graceMs`, then cuts them. */
  close(graceMs: number): Promise<void>;
}

const defaultFirstByteTimeoutMs = 5_000;

/** Starts a gRPC server. Rejects with a ListenError when the address cannot be had. */
export async function serveGrpc(options: ServeGrpcOptions): Promise<RunningServer> {
  const limit = options.maxMessageBytes ?? maxMessageBytes;
  const server = new Server({
    "grpc.max_receive_message_length": limit,
    "grpc.max_send_message_length": -1,
    "grpc.enable_channelz": 0,
    "grpc.max_concurrent_streams": 100,
    ...options.channelOptions,
  });
  options.register({
    add(service, handlers) {
      server.addService(toGrpcDefinition(service), wrapHandlers(service, handlers, options.log));
    },
  });
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = new Set<Socket>();
  const listener: NetServer = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", (err) => options.log.debug({ err }, "connection broke"));
    cutWhenSilent(socket, options.firstByteTimeoutMs ?? defaultFirstByteTimeoutMs);
    injector.injectConnection(socket);
  });
  const address = await listenOn(listener, options.listen, (cause) =>
    listenError(options.listen, options.flag, cause),
  );
  return {
    address,
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
      injector.drain(graceMs);
      const cut = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      await closed;
      clearTimeout(cut);
      injector.destroy();
      server.forceShutdown();
    },
  };
}

/** Ends a connection on which nothing came in time (SEC-B3). */
function cutWhenSilent(socket: Socket, timeoutMs: number): void {
  const cut = setTimeout(() => {
    if (socket.bytesRead === 0) socket.destroy();
  }, timeoutMs);
  cut.unref();
  socket.once("close", () => clearTimeout(cut));
}

type AnyHandler = (call: never) => Promise<unknown> | unknown;
type UnaryCallback = (error: unknown, value?: unknown) => void;

function wrapHandlers<Service extends DescService>(
  service: Service,
  handlers: GrpcServiceHandlers<Service>,
  log: Logger,
): Record<string, UntypedHandleCall> {
  const wrapped: Record<string, UntypedHandleCall> = {};
  const byName = handlers as Readonly<Record<string, AnyHandler | undefined>>;
  for (const method of service.methods) {
    const handle = byName[method.localName];
    if (handle === undefined) continue;
    const name = `${service.typeName}/${method.name}`;
    const statusOf = (error: unknown) => grpcStatusOf(failureOfThrown(error, name, log));
    const streams =
      method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming";
    wrapped[method.localName] = (
      streams
        ? (call: never) => {
            settle(handle, call).catch((error) => failStream(call, statusOf(error)));
          }
        : (call: never, callback: UnaryCallback) => {
            settle(handle, call).then(
              (value) => callback(null, value),
              (error) => callback(statusOf(error)),
            );
          }
    ) as UntypedHandleCall;
  }
  return wrapped;
}

async function settle(handle: AnyHandler, call: never): Promise<unknown> {
  return await handle(call);
}

type Failing = ServerDuplexStream<unknown, unknown> | ServerWritableStream<unknown, unknown>;

function failStream(call: Failing, status: ReturnType<typeof grpcStatusOf>): void {
  call.emit("error", status);
}

function failureOfThrown(error: unknown, method: string, log: Logger) {
  if (error instanceof RemexError) return error.failure;
  if (error instanceof ConnectError) return failureFromConnect(error).failure;
  return internalFailure(error, method, log);
}

/** Ends a stream of a grpc-js server with a failure. */
export function endGrpcStream(call: Failing, error: RemexError): void {
  failStream(call, grpcStatusOf(error.failure));
}

/** The address of the peer of a call, without its port; IPv4-mapped addresses as IPv4. */
export function peerAddressOf(call: Pick<ServerUnaryCall<unknown, unknown>, "getPeer">): string {
  const peer = call.getPeer();
  const host = peer.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return host.startsWith("::ffff:") ? host.slice("::ffff:".length) : host;
}
