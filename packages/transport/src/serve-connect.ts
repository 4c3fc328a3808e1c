// SPDX-License-Identifier: Apache-2.0
// Starts a Connect server: Connect, gRPC and gRPC-web on one port, over HTTP/1.1 and HTTP/2.

import { createServer as createHttp1Server } from "node:http";
import { createServer as createHttp2Server, type ServerHttp2Session } from "node:http2";
import type { ConnectRouter, Interceptor } from "@connectrpc/connect";
import { type ConnectNodeAdapterOptions, connectNodeAdapter } from "@connectrpc/connect-node";
import { failureOf } from "@remex/domain";
import type { Clock, ListenAddress, Logger, Metrics } from "@remex/runtime";
import { listenError } from "@remex/runtime";
import { observeCalls } from "./call-metrics.ts";
import { connectErrorOf } from "./connect-errors.ts";
import { maxMessageBytes, type RunningServer } from "./grpc-server.ts";
import { listenOn } from "./listen.ts";
import type { RequestGate } from "./service-key.ts";
import { createSharedPort } from "./shared-port.ts";

/** Largest message of TaskService.SubmitTasks; give it as `readMaxBytes` where it is registered. */
export const maxSubmitBytes = 4 * 1024 * 1024;

export interface ServeConnectOptions {
  readonly listen: ListenAddress;
  /** The option that chooses the address, for the message when it is in use. */
  readonly flag: string;
  /** Registers the services. Per-service options: `router.service(S, impl, { readMaxBytes })`. */
  routes(router: ConnectRouter): void;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: Metrics;
  /** Judges a call by its headers before its body is read, for example `serviceKeyGate`. */
  readonly gate?: RequestGate;
  /** Run inside of `observeCalls`, first one outermost. */
  readonly interceptors?: readonly Interceptor[];
  /** Context values of a call, for example the peer's address. */
  readonly contextValues?: ConnectNodeAdapterOptions["contextValues"];
  /** Answers requests that are no call, for example for the console's files. Absence means 404. */
  readonly fallback?: ConnectNodeAdapterOptions["fallback"];
  /** Largest message taken and sent, in bytes. Absence means 1 MiB. */
  readonly maxMessageBytes?: number;
  /** Calls at once on one HTTP/2 connection. Absence means 100; services among themselves need more. */
  readonly maxStreams?: number;
  /** How long a connection may stay without sending anything. Absence means 5 s. */
  readonly firstByteTimeoutMs?: number;
}

const defaultMaxStreams = 100;
const defaultFirstByteTimeoutMs = 5_000;
const headersTimeoutMs = 10_000;
const maxHeaderBytes = 16 * 1024;
/** Windows that let a frame of a megabyte travel without waiting for the other end. */
const streamWindowBytes = 1024 * 1024;
const connectionWindowBytes = 16 * 1024 * 1024;

/** Starts the server. Rejects with a ListenError when the address cannot be had. */
export async function serveConnect(options: ServeConnectOptions): Promise<RunningServer> {
  const shutdown = new AbortController();
  const handle = connectNodeAdapter({
    routes: options.routes,
    interceptors: [observeCalls(options), ...(options.interceptors ?? [])],
    readMaxBytes: options.maxMessageBytes ?? maxMessageBytes,
    acceptCompression: [],
    shutdownSignal: shutdown.signal,
    ...(options.gate === undefined ? {} : { requestGate: options.gate }),
    ...(options.contextValues === undefined ? {} : { contextValues: options.contextValues }),
    ...(options.fallback === undefined ? {} : { fallback: options.fallback }),
  });
  const http1 = createHttp1Server(
    { headersTimeout: headersTimeoutMs, maxHeaderSize: maxHeaderBytes },
    handle,
  );
  // It never listens itself, and only this event makes it keep track of its connections: without it
  // neither `headersTimeout` nor `closeIdleConnections` would do anything.
  http1.emit("listening");
  const sessions = new Set<ServerHttp2Session>();
  const http2 = createHttp2Server(
    {
      settings: {
        initialWindowSize: streamWindowBytes,
        maxConcurrentStreams: options.maxStreams ?? defaultMaxStreams,
        maxHeaderListSize: maxHeaderBytes,
      },
      maxSessionMemory: 64,
    },
    handle,
  );
  http2.on("session", (session) => {
    sessions.add(session);
    session.setLocalWindowSize(connectionWindowBytes);
    session.once("close", () => sessions.delete(session));
    session.on("error", (err) => options.log.debug({ err }, "connection broke"));
  });
  const port = createSharedPort({
    http1,
    http2,
    firstByteTimeoutMs: options.firstByteTimeoutMs ?? defaultFirstByteTimeoutMs,
    onSocketError: (err) => options.log.debug({ err }, "connection broke"),
  });
  const address = await listenOn(port.server, options.listen, (cause) =>
    listenError(options.listen, options.flag, cause),
  );
  return {
    address,
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => port.server.close(() => resolve()));
      // Streams are told, so that their callers dial another replica; unary calls end by themselves.
      shutdown.abort(connectErrorOf(failureOf("shutting_down")));
      for (const session of sessions) session.close();
      http1.closeIdleConnections();
      const cut = setTimeout(() => port.destroyAll(), graceMs);
      await closed;
      clearTimeout(cut);
    },
  };
}
