// SPDX-License-Identifier: Apache-2.0
// One port for HTTP/1.1 and HTTP/2 without TLS: the first bytes of a connection tell which it is.

import type { Server as HttpServer } from "node:http";
import type { Http2Server } from "node:http2";
import { createServer, type Server, type Socket } from "node:net";

/** Every HTTP/2 connection begins with this; no method of HTTP/1.1 has the same first three letters. */
const http2Preface = Buffer.from("PRI", "latin1");

export interface SharedPortOptions {
  readonly http1: HttpServer;
  readonly http2: Http2Server;
  /** How long a connection may stay without having shown what it speaks. */
  readonly firstByteTimeoutMs: number;
  onSocketError(error: unknown): void;
}

export interface SharedPort {
  readonly server: Server;
  /** Cuts every connection. */
  destroyAll(): void;
}

/** Makes the listener; the two servers behind it never listen themselves. */
export function createSharedPort(options: SharedPortOptions): SharedPort {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", options.onSocketError);
    route(socket, options);
  });
  return {
    server,
    destroyAll() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function route(socket: Socket, options: SharedPortOptions): void {
  const deadline = setTimeout(() => socket.destroy(), options.firstByteTimeoutMs);
  deadline.unref();
  socket.once("close", () => clearTimeout(deadline));
  let seen: Buffer = Buffer.alloc(0);
  const onData = (chunk: Buffer) => {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, http2Preface.length);
    const maybeHttp2 = seen.subarray(0, length).equals(http2Preface.subarray(0, length));
    if (maybeHttp2 && seen.length < http2Preface.length) return;
    clearTimeout(deadline);
    socket.off("data", onData);
    socket.pause();
    socket.unshift(seen);
    const target = maybeHttp2 ? options.http2 : options.http1;
    target.emit("connection", socket);
    // The HTTP/1 server reads from the stream, which was paused above; HTTP/2 reads what was put back
    // itself.
    if (!maybeHttp2) socket.resume();
  };
  socket.on("data", onData);
}
