// SPDX-License-Identifier: Apache-2.0
// Proves the shared port with real clients: both HTTP versions, gRPC, limits, errors, health, closing.

import { connect as connectSocket } from "node:net";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { remexError } from "@remex/domain";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@remex/proto/grpc/health/v1";
import { QueueService } from "@remex/proto/registry/v1";
import {
  createMetrics,
  createReadiness,
  createSilentLogger,
  createSystemClock,
  Secret,
} from "@remex/runtime";
import { afterEach, describe, expect, test } from "vitest";
import { failureFromConnect } from "./connect-errors.ts";
import { grpcChannelFor, grpcClientFor } from "./grpc-client.ts";
import type { RunningServer } from "./grpc-server.ts";
import { addHealthRoutes } from "./health-service.ts";
import { type ServeConnectOptions, serveConnect } from "./serve-connect.ts";
import { callerRoleKey, serviceKeyGate } from "./service-key.ts";
import { createServiceTransport } from "./service-transport.ts";

const clock = createSystemClock();
const log = createSilentLogger();
const listen = { host: "127.0.0.1", port: 0 };

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(options: Partial<ServeConnectOptions> = {}): Promise<RunningServer> {
  const server = await serveConnect({
    listen,
    flag: "--gateway-listen",
    clock,
    log,
    routes(router) {
      router.service(QueueService, {
        createQueue(request) {
          return { queue: { deployment: request.deployment, queue: request.queue } };
        },
        deleteQueue(request) {
          throw remexError("queue_unknown", {
            queue: request.queue,
            deployment: request.deployment,
          });
        },
        listQueues() {
          throw new Error("the password is hunter2");
        },
      });
    },
    ...options,
  });
  cleanups.push(() => server.close(0));
  return server;
}

const urlOf = (server: RunningServer) => `http://127.0.0.1:${server.address.port}`;

describe("one port", () => {
  test("R28: speaks Connect over HTTP/1.1, Connect over HTTP/2, gRPC, and JSON to plain fetch", async () => {
    const baseUrl = urlOf(await serve());
    const request = { deployment: "acme", queue: "gpu" };
    for (const transport of [
      createConnectTransport({ baseUrl, httpVersion: "1.1" }),
      createConnectTransport({ baseUrl, httpVersion: "2" }),
      createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
      createGrpcTransport({ baseUrl }),
    ]) {
      const response = await createClient(QueueService, transport).createQueue(request);
      expect(response.queue?.queue).toBe("gpu");
    }
    const response = await fetch(`${baseUrl}/remex.registry.v1.QueueService/CreateQueue`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(request),
    });
    expect(await response.json()).toEqual({ queue: request });
  });

  test("R29: grpc-js talks to the Connect server, errors with their detail included", async () => {
    const server = await serve();
    const client = grpcClientFor(QueueService, grpcChannelFor({ url: urlOf(server) }));
    cleanups.push(() => client.close());
    const request = create(QueueService.method.createQueue.input, { queue: "gpu" });
    const response = await client.createQueue(request);
    expect(response.queue?.queue).toBe("gpu");
    const refused = client.deleteQueue(
      create(QueueService.method.deleteQueue.input, { deployment: "acme", queue: "x" }),
    );
    await expect(refused).rejects.toMatchObject({
      code: "queue_unknown",
      connectCode: "not_found",
      facts: { queue: "x", deployment: "acme" },
    });
  });

  test("a connection that begins neither as HTTP/1.1 nor as HTTP/2 does no harm", async () => {
    const server = await serve({ firstByteTimeoutMs: 100 });
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connectSocket(server.address.port, "127.0.0.1");
      socket.on("error", reject);
      socket.on("data", (data) => resolve(data.toString("latin1")));
      socket.write("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n\r\n");
    });
    expect(answer).toMatch(/^HTTP\/1\.1 400/);
  });

  test("SEC-B3: a connection that stays silent, or stops within the preface, is closed", async () => {
    const server = await serve({ firstByteTimeoutMs: 50 });
    for (const begin of ["", "P", "PR"]) {
      const closed = new Promise<void>((resolve) => {
        const socket = connectSocket(server.address.port, "127.0.0.1");
        socket.on("error", () => undefined);
        socket.once("close", () => resolve());
        if (begin !== "") socket.write(begin);
      });
      await closed;
    }
  });

  test("an HTTP/2 preface in single bytes is understood", async () => {
    const server = await serve();
    const first = await new Promise<Buffer>((resolve, reject) => {
      const socket = connectSocket({ port: server.address.port, host: "127.0.0.1", noDelay: true });
      cleanups.push(() => void socket.destroy());
      socket.on("error", reject);
      socket.on("data", resolve);
      const preface = Buffer.concat([
        Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
      ]);
      let at = 0;
      const writeNext = () => {
        if (at >= preface.length) return;
        socket.write(preface.subarray(at, at + 1), () => setImmediate(writeNext));
        at += 1;
      };
      socket.once("connect", writeNext);
    });
    // The server's SETTINGS frame: its type stands in the fourth byte.
    expect(first[3]).toBe(4);
  });

  test("a port in use is told by name, with the option that chooses another", async () => {
    const server = await serve();
    const again = serve({ listen: server.address, flag: "--agents-listen" });
    await expect(again).rejects.toThrow(
      `port ${server.address.port} on 127.0.0.1 is in use by another process; choose another with --agents-listen`,
    );
  });
});

describe("what callers are answered", () => {
  test("a failure keeps its code, facts and wait over Connect and gRPC", async () => {
    const baseUrl = urlOf(
      await serve({
        routes(router) {
          router.service(QueueService, {
            listQueues() {
              throw remexError("admission_full", { limit: 200 }, { retryAfterMs: 750 });
            },
          });
        },
      }),
    );
    for (const transport of [
      createConnectTransport({ baseUrl, httpVersion: "1.1" }),
      createGrpcTransport({ baseUrl }),
    ]) {
      const error = await createClient(QueueService, transport)
        .listQueues({ deployment: "acme" })
        .catch(failureFromConnect);
      expect(error).toMatchObject({
        code: "admission_full",
        connectCode: "resource_exhausted",
        retryable: true,
        retryAfterMs: 750,
        facts: { limit: "200" },
      });
    }
  });

  test("an unexpected error is answered with a reference and nothing of itself", async () => {
    const baseUrl = urlOf(await serve());
    const transport = createConnectTransport({ baseUrl, httpVersion: "1.1" });
    const error = await createClient(QueueService, transport)
      .listQueues({ deployment: "acme" })
      .catch((thrown: unknown) => thrown);
    expect(ConnectError.from(error).code).toBe(Code.Internal);
    expect(String(error)).not.toContain("hunter2");
    expect(failureFromConnect(error)).toMatchObject({ code: "internal" });
  });

  test("SEC-L1: a message over the limit is refused, by its code", async () => {
    const baseUrl = urlOf(await serve({ maxMessageBytes: 1_000 }));
    for (const transport of [
      createConnectTransport({ baseUrl, httpVersion: "1.1" }),
      createGrpcTransport({ baseUrl }),
    ]) {
      const error = await createClient(QueueService, transport)
        .createQueue({ queue: "x".repeat(2_000) })
        .catch(failureFromConnect);
      expect(error).toMatchObject({
        code: "message_too_large",
        connectCode: "resource_exhausted",
        facts: { limit: "1000" },
      });
    }
  });

  test("calls are counted by method and code", async () => {
    const metrics = createMetrics({ withProcess: false });
    const baseUrl = urlOf(await serve({ metrics }));
    const client = createClient(
      QueueService,
      createConnectTransport({ baseUrl, httpVersion: "1.1" }),
    );
    await client.createQueue({});
    await client.deleteQueue({}).catch(() => undefined);
    const text = await metrics.text();
    expect(text).toContain(
      'remex_rpc_server_duration_seconds_count{method="remex.registry.v1.QueueService/CreateQueue",code="ok"} 1',
    );
    expect(text).toContain(
      'remex_rpc_server_duration_seconds_count{method="remex.registry.v1.QueueService/DeleteQueue",code="not_found"} 1',
    );
  });
});

describe("SEC-S3: between services", () => {
  const key = () => new Secret("correct horse");

  test("the key and the caller's role are checked against the contract", async () => {
    const seen: unknown[] = [];
    const server = await serve({
      gate: serviceKeyGate(key),
      routes(router) {
        router.service(QueueService, {
          listQueues(_, context) {
            seen.push(context.values.get(callerRoleKey));
            return {};
          },
        });
      },
    });
    const call = (role: "gateway" | "scheduler", secret = key) => {
      const transport = createServiceTransport({ baseUrl: urlOf(server), role, key: secret });
      cleanups.push(() => transport.close());
      return createClient(QueueService, transport).listQueues({ deployment: "acme" });
    };
    await call("gateway");
    expect(seen).toEqual(["gateway"]);
    await expect(call("scheduler")).rejects.toMatchObject({
      code: "not_allowed",
      message:
        "service scheduler may not call remex.registry.v1.QueueService/ListQueues: the contract does not list it as a caller",
    });
    await expect(call("gateway", () => new Secret("wrong"))).rejects.toMatchObject({
      code: "service_key_refused",
    });
    await expect(call("gateway", () => new Secret("correct hors"))).rejects.toMatchObject({
      code: "service_key_refused",
    });
  });

  test("a call without a key or role is refused", async () => {
    const server = await serve({ gate: serviceKeyGate(key) });
    const response = await fetch(`${urlOf(server)}/remex.registry.v1.QueueService/ListQueues`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({ code: "unauthenticated" });
  });

  test("a unary call ends at its deadline although nobody answers", async () => {
    const server = await serve({
      routes(router) {
        router.service(QueueService, {
          listQueues: (_, context) =>
            new Promise((_resolve, reject) => {
              context.signal.addEventListener("abort", () => reject(context.signal.reason));
            }),
        });
      },
    });
    const transport = createServiceTransport({
      baseUrl: urlOf(server),
      role: "gateway",
      key,
      defaultTimeoutMs: 50,
    });
    cleanups.push(() => transport.close());
    await expect(createClient(QueueService, transport).listQueues({})).rejects.toMatchObject({
      connectCode: "deadline_exceeded",
      retryable: true,
    });
  });
});

describe("health", () => {
  test("Check and Watch follow the readiness of the process, without a key", async () => {
    const readiness = createReadiness();
    const redis = readiness.part("redis");
    const server = await serve({
      gate: serviceKeyGate(() => new Secret("k")),
      routes: (router) => addHealthRoutes(router, { readiness, services: ["remex.x"] }),
    });
    const client = createClient(Health, createGrpcTransport({ baseUrl: urlOf(server) }));
    expect((await client.check({})).status).toBe(Status.NOT_SERVING);
    await expect(client.check({ service: "nobody" })).rejects.toMatchObject({
      code: Code.NotFound,
    });
    const abort = new AbortController();
    const watch = client.watch({ service: "remex.x" }, { signal: abort.signal });
    const seen = watch[Symbol.asyncIterator]();
    const next = async () => (await seen.next()).value?.status;
    expect(await next()).toBe(Status.NOT_SERVING);
    redis.ready();
    expect(await next()).toBe(Status.SERVING);
    redis.notReady("connection refused");
    expect(await next()).toBe(Status.NOT_SERVING);
    abort.abort();
    await expect(seen.next()).rejects.toMatchObject({ code: Code.Canceled });
    const unknown = client.watch({ service: "nobody" })[Symbol.asyncIterator]();
    expect((await unknown.next()).value?.status).toBe(Status.SERVICE_UNKNOWN);
    await unknown.return?.();
  });
});

describe("closing", () => {
  test("lets a running call end, refuses new connections", async () => {
    const started = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const server = await serve({
      routes(router) {
        router.service(QueueService, {
          async listQueues() {
            started.resolve();
            await release.promise;
            return {};
          },
        });
      },
    });
    for (const httpVersion of ["2"] as const) {
      const transport = createConnectTransport({ baseUrl: urlOf(server), httpVersion });
      const call = createClient(QueueService, transport).listQueues({});
      await started.promise;
      const closed = server.close(5_000);
      release.resolve();
      expect((await call).queues).toEqual([]);
      await closed;
    }
    const refused = createClient(
      QueueService,
      createConnectTransport({ baseUrl: urlOf(server), httpVersion: "1.1" }),
    ).listQueues({});
    await expect(refused).rejects.toMatchObject({ code: Code.Unavailable });
  });

  // It once waited for the keep-alive of every idle client: the HTTP/1 server, which never listens
  // itself, did not know its connections.
  test("an idle connection does not hold up the end", async () => {
    const server = await serve();
    const socket = connectSocket(server.address.port, server.address.host);
    cleanups.push(() => {
      socket.destroy();
    });
    const answered = new Promise((resolve) => socket.once("data", resolve));
    socket.write("GET / HTTP/1.1\r\nHost: remex\r\n\r\n");
    await answered;
    await server.close(60_000);
  }, 3_000);

  test("cuts what does not end within the grace", async () => {
    const started = Promise.withResolvers<void>();
    const server = await serve({
      routes(router) {
        router.service(QueueService, {
          listQueues() {
            started.resolve();
            return new Promise(() => undefined);
          },
        });
      },
    });
    const transport = createConnectTransport({ baseUrl: urlOf(server), httpVersion: "1.1" });
    const call = createClient(QueueService, transport).listQueues({});
    const failed = expect(call).rejects.toBeInstanceOf(ConnectError);
    await started.promise;
    await server.close(20);
    await failed;
  });
});
