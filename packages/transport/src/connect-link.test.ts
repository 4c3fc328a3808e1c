// SPDX-License-Identifier: Apache-2.0
// Proves links over real sockets: heartbeats, a dead or refusing peer, overflow, both closes.

import { createServer, type Server } from "node:net";
import { create } from "@bufbuild/protobuf";
import {
  AgentBeatSchema,
  type BeatLinkEvent,
  BeatLinkEventSchema,
  HealthLinkService,
  type MonitorEvent,
  MonitorEventSchema,
} from "@remex/proto/health/v1";
import { createSilentLogger, createSystemClock, Secret } from "@remex/runtime";
import { afterEach, describe, expect, test } from "vitest";
import { createLinkHandler, dialLink } from "./connect-link.ts";
import type { RunningServer } from "./grpc-server.ts";
import type { FrameLink } from "./link.ts";
import { createManagedLinks } from "./managed-links.ts";
import { serveConnect } from "./serve-connect.ts";
import { serviceKeyGate } from "./service-key.ts";
import { serviceKeyInterceptor } from "./service-transport.ts";

const clock = createSystemClock();
const log = createSilentLogger();
const method = HealthLinkService.method.beatLink;
const quick = { heartbeatMs: 40, silenceMs: 200 };

type ServerEnd = FrameLink<BeatLinkEvent, MonitorEvent>;

const running: RunningServer[] = [];
const sockets: Server[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close(0)));
  for (const server of sockets.splice(0)) server.close();
});

const hello = create(BeatLinkEventSchema, {
  event: { case: "hello", value: { registry: "registry-1" } },
});
const welcome = create(MonitorEventSchema, {
  event: { case: "hello", value: { monitor: "monitor-1" } },
});

function beat(sequence: number): BeatLinkEvent {
  const value = create(AgentBeatSchema, {
    deployment: "acme",
    agent: "worker-1",
    beat: { sequence: BigInt(sequence) },
  });
  return create(BeatLinkEventSchema, { event: { case: "beat", value } });
}

async function serveLinks(
  accept: (link: ServerEnd) => void,
  timings = quick,
  port = 0,
): Promise<string> {
  const server = await serveConnect({
    listen: { host: "127.0.0.1", port },
    flag: "--internal-listen",
    clock,
    log,
    gate: serviceKeyGate(() => new Secret("k")),
    routes(router) {
      router.service(HealthLinkService, {
        beatLink: createLinkHandler({ method, clock, timings, accept }),
      });
    },
  });
  running.push(server);
  return `http://127.0.0.1:${server.address.port}`;
}

function dial(baseUrl: string, options: { role?: "registry" | "scheduler"; key?: string } = {}) {
  const key = new Secret(options.key ?? "k");
  return dialLink({
    method,
    baseUrl,
    peer: "monitor-1",
    hello: [hello],
    clock,
    timings: quick,
    connectTimeoutMs: 2_000,
    interceptors: [serviceKeyInterceptor(options.role ?? "registry", () => key)],
  });
}

describe("a link over a socket", () => {
  test("carries the hello first and then events both ways, in order", async () => {
    const got: BeatLinkEvent[] = [];
    const all = Promise.withResolvers<void>();
    const baseUrl = await serveLinks((link) => {
      link.send([welcome]);
      link.onEvents((events) => {
        got.push(...events);
        if (got.length === 1_001) all.resolve();
      });
    });
    const link = await dial(baseUrl);
    const answers: MonitorEvent[] = [];
    link.onEvents((events) => answers.push(...events));
    for (let n = 1; n <= 1_000; n++) link.send([beat(n)]);
    await all.promise;
    expect(got[0]?.event).toMatchObject({ case: "hello", value: { registry: "registry-1" } });
    const sequences = got
      .slice(1)
      .map((event) => (event.event.case === "beat" ? event.event.value.beat?.sequence : undefined));
    expect(sequences).toEqual(Array.from({ length: 1_000 }, (_, n) => BigInt(n + 1)));
    expect(answers).toEqual([welcome]);
    link.close();
  });

  test("stays up by empty frames alone, for longer than the silence limit", async () => {
    const accepted = Promise.withResolvers<ServerEnd>();
    const link = await dial(await serveLinks(accepted.resolve));
    const server = await accepted.promise;
    const first = await Promise.race([
      link.closed,
      server.closed,
      new Promise((resolve) => clock.after(3 * quick.silenceMs, () => resolve("still up"))),
    ]);
    expect(first).toBe("still up");
    link.close();
  });

  test("a close of either end is known to the other, after what was sent before", async () => {
    const accepted = Promise.withResolvers<ServerEnd>();
    const link = await dial(await serveLinks(accepted.resolve));
    const server = await accepted.promise;
    const got: BeatLinkEvent[] = [];
    server.onEvents((events) => got.push(...events));
    link.send([beat(1)]);
    link.close("moved");
    expect((await server.closed).code).toBe("closed_by_peer");
    expect(got).toHaveLength(2);

    const other = Promise.withResolvers<ServerEnd>();
    const second = await dial(await serveLinks(other.resolve));
    (await other.promise).close("shutting down");
    expect((await second.closed).code).toBe("closed_by_peer");
  });

  test("a peer that goes silent is given up", async () => {
    const silent = { heartbeatMs: 60_000, silenceMs: 60_000 };
    const link = await dial(await serveLinks(() => undefined, silent));
    const reason = await link.closed;
    expect(reason.code).toBe("silent");
    expect(link.open).toBe(false);
  });

  test("SEC-S3: a caller that the contract does not list is refused, and so is a wrong key", async () => {
    const baseUrl = await serveLinks(() => undefined);
    await expect(dial(baseUrl, { role: "scheduler" })).rejects.toMatchObject({
      code: "not_allowed",
      connectCode: "permission_denied",
    });
    await expect(dial(baseUrl, { key: "wrong" })).rejects.toMatchObject({
      code: "service_key_refused",
      connectCode: "unauthenticated",
    });
  });

  test("nobody at the address, or somebody who never answers, rejects the dial", async () => {
    const mute = createServer(() => undefined);
    sockets.push(mute);
    const port = await new Promise<number>((resolve) => {
      mute.listen(0, "127.0.0.1", () => {
        const address = mute.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
    const options = { method, peer: "m", hello: [hello], clock, timings: quick };
    const silent = dialLink({
      ...options,
      baseUrl: `http://127.0.0.1:${port}`,
      connectTimeoutMs: 100,
    });
    await expect(silent).rejects.toMatchObject({ code: "deadline_passed" });
    const nobody = dialLink({ ...options, baseUrl: "http://127.0.0.1:1" });
    await expect(nobody).rejects.toMatchObject({ connectCode: "unavailable" });
  });

  test("a receiver that is too slow for its link ends it by overflow", async () => {
    const accepted = Promise.withResolvers<ServerEnd>();
    const baseUrl = await serveLinks(accepted.resolve);
    const link = await dialLink({
      method,
      baseUrl,
      peer: "monitor-1",
      hello: [hello],
      clock,
      timings: quick,
      bounds: { maxQueuedEvents: 50, maxQueuedBytes: 1e9, maxFrameEvents: 10, maxFrameBytes: 1e6 },
      interceptors: [serviceKeyInterceptor("registry", () => new Secret("k"))],
    });
    for (let n = 0; n <= 50; n++) link.send([beat(n)]);
    expect((await link.closed).code).toBe("overflow");
    expect(["broken", "closed_by_peer"]).toContain((await (await accepted.promise).closed).code);
  });

  test("PROTOCOL-L5: a link is dialled again when its server is back, with its hello first", async () => {
    const hellos: string[] = [];
    const accept = (link: ServerEnd) =>
      link.onEvents((events) => {
        for (const { event } of events)
          if (event.case === "hello") hellos.push(event.value.registry);
      });
    const address = await serveLinks(accept);
    const ups: string[] = [];
    const waiting: (() => void)[] = [];
    const links = createManagedLinks<MonitorEvent, BeatLinkEvent>({
      clock,
      log,
      backoff: { baseMs: 10, maxMs: 50 },
      dial: (target) => dial(target.address),
      onUp: (target) => {
        ups.push(target.id);
        waiting.shift()?.();
      },
      onDown: () => undefined,
    });
    const up = () => new Promise<void>((resolve) => waiting.push(resolve));
    let next = up();
    links.setTargets([{ id: "monitor-1", address }]);
    await next;
    next = up();
    await running.pop()?.close(0);
    await serveLinks(accept, quick, Number(new URL(address).port));
    await next;
    expect(ups).toEqual(["monitor-1", "monitor-1"]);
    await expect.poll(() => hellos).toEqual(["registry-1", "registry-1"]);
    links.close();
  });

  test("a dial that is given up before it began leaves nothing behind", async () => {
    const baseUrl = await serveLinks(() => undefined);
    const signal = AbortSignal.abort(new Error("not wanted"));
    const given = dialLink({ method, baseUrl, peer: "p", hello: [hello], clock, signal });
    await expect(given).rejects.toThrow("not wanted");
  });

  test("the end of the server process ends the link", async () => {
    const link = await dial(await serveLinks(() => undefined));
    await running.pop()?.close(50);
    expect(["broken", "closed_by_peer"]).toContain((await link.closed).code);
  });
});
