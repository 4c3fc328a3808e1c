// SPDX-License-Identifier: Apache-2.0
// Proves the agents' kind of door with real sockets: grpc-js server and client, Connect as a second client.

import { createServer as createHttpServer } from "node:http";
import {
  type AddressInfo,
  connect as connectSocket,
  createServer as createNetServer,
  type Server,
} from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Metadata, status } from "@grpc/grpc-js";
import { remexError } from "@remex/domain";
import {
  type AgentEvent,
  AgentEventSchema,
  AgentSessionService,
  SendLogRequestSchema,
  type ServerEvent,
  ServerEventSchema,
  SessionRequestSchema,
  SessionResponseSchema,
} from "@remex/proto/agent/v1";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@remex/proto/grpc/health/v1";
import { QueueService } from "@remex/proto/registry/v1";
import { createReadiness, createSilentLogger } from "@remex/runtime";
import { afterEach, describe, expect, test } from "vitest";
import { failureFromConnect } from "./connect-errors.ts";
import { createFrameWriter } from "./frame-writer.ts";
import { type GrpcChannelSettings, grpcChannelFor, grpcClientFor } from "./grpc-client.ts";
import type { GrpcServiceHandlers } from "./grpc-definition.ts";
import { failureFromGrpc } from "./grpc-errors.ts";
import {
  endGrpcStream,
  peerAddressOf,
  type RunningServer,
  type ServeGrpcOptions,
  serveGrpc,
} from "./grpc-server.ts";
import { addHealthToGrpc } from "./health-service.ts";
import { testCertificate, testKey } from "./test-certificate.ts";

const log = createSilentLogger();
const listen = { host: "127.0.0.1", port: 0 };

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

type SessionHandlers = GrpcServiceHandlers<typeof AgentSessionService>;

async function serve(
  handlers: SessionHandlers,
  options: Partial<ServeGrpcOptions> = {},
): Promise<RunningServer> {
  const server = await serveGrpc({
    listen,
    flag: "--agents-listen",
    log,
    register(services) {
      services.add(AgentSessionService, handlers);
      services.add(QueueService, {
        async createQueue(call) {
          throw remexError("queue_exists", {
            queue: call.request.queue,
            deployment: call.request.deployment,
          });
        },
        async listQueues() {
          throw new Error("the password is hunter2");
        },
      });
    },
    ...options,
  });
  cleanups.push(() => server.close(0));
  return server;
}

function clientFor(server: RunningServer, settings: Partial<GrpcChannelSettings> = {}) {
  const url = `http://127.0.0.1:${server.address.port}`;
  const client = grpcClientFor(AgentSessionService, grpcChannelFor({ url, ...settings }));
  cleanups.push(() => client.close());
  return client;
}

const beatOf = (sequence: number): AgentEvent =>
  create(AgentEventSchema, {
    event: { case: "beat", value: { sequence: BigInt(sequence) } },
  } as never);
const ackOf = (sequence: bigint): ServerEvent =>
  create(ServerEventSchema, { event: { case: "beatAck", value: { sequence } } } as never);

/** A server that acknowledges every beat, frame by frame. */
const acknowledging: SessionHandlers = {
  session(call) {
    const writer = createFrameWriter<ServerEvent, ReturnType<typeof frameOf>>({
      stream: call,
      frameOf,
      onOverflow: () => call.destroy(),
    });
    call.on("data", (frame) => {
      writer.send(
        frame.events.map((event: AgentEvent) =>
          ackOf(event.event.case === "beat" ? event.event.value.sequence : 0n),
        ),
      );
    });
    call.on("end", () => {
      writer.flush();
      call.end();
    });
  },
};
const frameOf = (events: ServerEvent[]) => create(SessionResponseSchema, { events });

describe("a bidi stream over grpc-js", () => {
  test("R28: many events of one turn travel in few frames, in order, both ways", async () => {
    const call = clientFor(await serve(acknowledging)).session();
    const got: bigint[] = [];
    let frames = 0;
    const done = Promise.withResolvers<void>();
    call.on("data", (frame) => {
      frames += 1;
      for (const event of frame.events) {
        if (event.event.case === "beatAck") got.push(event.event.value.sequence);
      }
    });
    call.on("end", done.resolve);
    const writer = createFrameWriter<AgentEvent, unknown>({
      stream: call as never,
      frameOf: (events) => create(SessionRequestSchema, { events }),
      onOverflow: () => call.cancel(),
    });
    for (let n = 1; n <= 5_000; n++) writer.send([beatOf(n)]);
    writer.flush();
    call.end();
    await done.promise;
    expect(got).toEqual(Array.from({ length: 5_000 }, (_, n) => BigInt(n + 1)));
    expect(frames).toBeLessThan(50);
  });

  test("a failure after the first frames carries its code, facts and wait", async () => {
    const server = await serve({
      session(call) {
        call.write(frameOf([ackOf(1n)]));
        const facts = { session: "7.1", agent: "a", reason: "lease_expired" };
        endGrpcStream(call, remexError("session_ended", facts, { retryAfterMs: 20 }));
      },
    });
    const call = clientFor(server).session();
    call.on("data", () => undefined);
    const error = await new Promise((resolve) => call.on("error", resolve));
    expect(failureFromGrpc(error)).toMatchObject({
      code: "session_ended",
      connectCode: "failed_precondition",
      retryAfterMs: 20,
      facts: { session: "7.1", agent: "a", reason: "lease_expired" },
    });
  });

  test("metadata arrives, binary keys as bytes; the peer's address is known", async () => {
    const seen: unknown[] = [];
    const server = await serve({
      async sendLog(call) {
        seen.push(call.metadata.get("authorization"), call.metadata.get("remex-session-key-bin"));
        seen.push(peerAddressOf(call));
        for await (const part of call) seen.push(part.offset);
        return create(AgentSessionService.method.sendLog.output, {});
      },
    });
    const metadata = new Metadata();
    metadata.set("authorization", "Bearer rmx_x");
    metadata.set("remex-session-key-bin", Buffer.from([1, 2, 255]));
    const { call, response } = clientFor(server).sendLog({ metadata });
    call.write(create(SendLogRequestSchema, { offset: 5n }));
    call.end();
    await response;
    expect(seen).toEqual([["Bearer rmx_x"], [Buffer.from([1, 2, 255])], "127.0.0.1", 5n]);
  });

  test("a handler that refuses before it reads is told to the client", async () => {
    const server = await serve({
      sendLog: () => Promise.reject(remexError("session_key_refused")),
    });
    const { response } = clientFor(server).sendLog();
    await expect(response).rejects.toMatchObject({
      code: "session_key_refused",
      connectCode: "unauthenticated",
    });
  });

  test("a method that nobody implements is answered UNIMPLEMENTED", async () => {
    const { response } = clientFor(await serve({})).uploadLog();
    await expect(response).rejects.toMatchObject({ connectCode: "unimplemented" });
  });

  test("SEC-L1: a frame over the limit ends the stream by its code", async () => {
    const server = await serve(acknowledging, { maxMessageBytes: 1_000 });
    const call = clientFor(server).session();
    call.on("data", () => undefined);
    const failed = new Promise((resolve) => call.on("error", resolve));
    call.write(
      create(SessionRequestSchema, { events: Array.from({ length: 500 }, (_, n) => beatOf(n)) }),
    );
    expect(failureFromGrpc(await failed)).toMatchObject({
      code: "message_too_large",
      facts: { limit: "1000" },
    });
  });
});

test("a failed dial says what happened, without the words of grpc-js around it", () => {
  const details =
    "No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:1. Resolution note: ";
  const error = Object.assign(new Error(details), { code: 14, details, metadata: new Metadata() });
  expect(failureFromGrpc(error)).toMatchObject({
    code: "call_failed",
    connectCode: "unavailable",
    message: "the call failed: connect ECONNREFUSED 127.0.0.1:1",
  });
});

describe("R29: a Connect client at a grpc-js server", () => {
  test("reads failures with their detail, and nothing of unexpected errors", async () => {
    const server = await serve({});
    const baseUrl = `http://127.0.0.1:${server.address.port}`;
    const client = createClient(QueueService, createGrpcTransport({ baseUrl }));
    const refused = await client
      .createQueue({ deployment: "acme", queue: "gpu" })
      .catch(failureFromConnect);
    expect(refused).toMatchObject({ code: "queue_exists", facts: { queue: "gpu" } });
    const broken = await client.listQueues({}).catch((thrown: unknown) => thrown);
    expect(ConnectError.from(broken).code).toBe(Code.Internal);
    expect(String(broken)).not.toContain("hunter2");
    expect(failureFromConnect(broken).code).toBe("internal");
  });

  test("sees the health of a grpc-js server", async () => {
    const readiness = createReadiness();
    const server = await serve(
      {},
      { register: (services) => addHealthToGrpc(services, { readiness, services: [] }) },
    );
    const baseUrl = `http://127.0.0.1:${server.address.port}`;
    const client = createClient(Health, createGrpcTransport({ baseUrl }));
    expect((await client.check({})).status).toBe(Status.SERVING);
    await expect(client.check({ service: "x" })).rejects.toMatchObject({ code: Code.NotFound });
    const seen = client.watch({})[Symbol.asyncIterator]();
    expect((await seen.next()).value?.status).toBe(Status.SERVING);
    readiness.part("redis");
    expect((await seen.next()).value?.status).toBe(Status.NOT_SERVING);
    await seen.return?.();
  });
});

describe("the listener", () => {
  test("a port in use is told by name, with the option that chooses another", async () => {
    const server = await serve({});
    await expect(serve({}, { listen: server.address })).rejects.toThrow(
      `port ${server.address.port} on 127.0.0.1 is in use by another process; choose another with --agents-listen`,
    );
  });

  test("SEC-B3: a connection that sends nothing is closed in time", async () => {
    const server = await serve({}, { firstByteTimeoutMs: 50 });
    await new Promise<void>((resolve, reject) => {
      const socket = connectSocket(server.address.port, "127.0.0.1");
      socket.on("error", reject);
      socket.resume();
      socket.once("close", () => resolve());
    });
  });

  test("closing tells clients by status and frees the port", async () => {
    const server = await serve(acknowledging);
    const call = clientFor(server).session();
    const first = new Promise((resolve) => call.once("data", resolve));
    const ended = new Promise((resolve) => call.on("error", resolve));
    call.write(create(SessionRequestSchema, { events: [beatOf(1)] }));
    await first;
    await server.close(20);
    expect(await ended).toMatchObject({ code: expect.any(Number) });
    await (await serve({}, { listen: server.address })).close(0);
  });
});

describe("R4: an agent's way out", () => {
  async function listenFree(server: Server) {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    return (server.address() as AddressInfo).port;
  }

  /** Ends TLS in front of a plain server, as an edge proxy does. */
  async function endTlsFor(server: RunningServer): Promise<number> {
    const edge = createTlsServer(
      { cert: testCertificate, key: testKey, ALPNProtocols: ["h2"] },
      (socket) => {
        const inner = connectSocket(server.address.port, "127.0.0.1");
        socket.on("error", () => inner.destroy());
        inner.on("error", () => socket.destroy());
        socket.pipe(inner).pipe(socket);
      },
    );
    cleanups.push(() => void edge.close());
    return await listenFree(edge);
  }

  /** A proxy that knows CONNECT alone; notes what it was asked for. */
  async function startProxy(asked: string[]): Promise<number> {
    const proxy = createHttpServer((_, response) => response.writeHead(405).end());
    proxy.on("connect", (request, socket) => {
      asked.push(`${request.url} ${request.headers["proxy-authorization"] ?? "-"}`);
      const [host, port] = (request.url ?? "").split(":");
      const inner = connectSocket(Number(port), host, () => {
        socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
        socket.pipe(inner).pipe(socket);
      });
      inner.on("error", () => socket.destroy());
      socket.on("error", () => inner.destroy());
    });
    cleanups.push(() => void proxy.close());
    return await listenFree(proxy);
  }

  async function roundTrip(client: ReturnType<typeof clientFor>): Promise<void> {
    const call = client.session();
    const first = new Promise((resolve, reject) => {
      call.once("data", resolve);
      call.once("error", reject);
    });
    call.write(create(SessionRequestSchema, { events: [beatOf(1)] }));
    await first;
    const ended = new Promise((resolve) => call.once("error", resolve));
    call.cancel();
    await ended;
  }

  test("trusts a private certificate authority that it is given, and no other", async () => {
    const server = await serve(acknowledging);
    const url = `https://localhost:${await endTlsFor(server)}`;
    await roundTrip(clientFor(server, { url, caPem: testCertificate }));
    await expect(roundTrip(clientFor(server, { url }))).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    });
  });

  test("goes through an HTTP proxy with a password, plain and with TLS inside", async () => {
    const server = await serve(acknowledging);
    const asked: string[] = [];
    const proxyUrl = `http://joe:p%40ss@127.0.0.1:${await startProxy(asked)}`;
    await roundTrip(clientFor(server, { proxyUrl }));
    const tlsPort = await endTlsFor(server);
    const url = `https://localhost:${tlsPort}`;
    await roundTrip(clientFor(server, { url, caPem: testCertificate, proxyUrl }));
    const credentials = `Basic ${Buffer.from("joe:p@ss").toString("base64")}`;
    expect(asked).toEqual([
      `127.0.0.1:${server.address.port} ${credentials}`,
      `localhost:${tlsPort} ${credentials}`,
    ]);
  });

  test.each(["ftp://x", "http://x/path", "http://x?y=1"])("%s is refused as an address", (url) => {
    expect(() => grpcChannelFor({ url })).toThrow(TypeError);
  });

  test("nobody at the address is told as unavailable", async () => {
    const closed = createNetServer();
    const port = await listenFree(closed);
    await new Promise((resolve) => closed.close(resolve));
    const client = grpcClientFor(QueueService, grpcChannelFor({ url: `http://127.0.0.1:${port}` }));
    cleanups.push(() => client.close());
    const call = client.listQueues(create(QueueService.method.listQueues.input));
    await expect(call).rejects.toMatchObject({ connectCode: "unavailable", retryable: true });
  });
});
