// SPDX-License-Identifier: Apache-2.0
// Proves that triggers run side by side, that a stopped one does nothing more, and what the real world answers.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HttpTrigger } from "@remex/domain";
import { createFakeClock } from "@remex/runtime/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TriggerHost } from "./trigger-host.ts";
import { createTriggerIo, type TriggerIo } from "./trigger-io.ts";

const timer = { kind: "timer", afterMs: 50, everyMs: undefined, times: 1 } as const;
const http: HttpTrigger = {
  kind: "http",
  url: "http://127.0.0.1:1/",
  headers: {},
  expectStatuses: [],
  expectBody: "",
  everyMs: 100,
  requestTimeoutMs: 10_000,
};

/** Requests and looks that wait for the test's answer. */
function heldIo() {
  const asked: { readonly signal: AbortSignal; readonly answer: (status: number) => void }[] = [];
  const io: TriggerIo = {
    ask: (_request, signal) =>
      new Promise((resolve) => {
        asked.push({ signal, answer: (status) => resolve({ status, body: "" }) });
      }),
    look: async () => undefined,
  };
  return { io, asked };
}

function start(io: TriggerIo = heldIo().io) {
  const clock = createFakeClock();
  const events: string[] = [];
  const ends: string[] = [];
  const host = new TriggerHost({
    clock,
    io,
    onEvent: (key, number) => events.push(`${key} ${number}`),
    onEnd: (key) => ends.push(key),
  });
  return { clock, host, events, ends };
}

describe("many triggers in one process", () => {
  it("each fires at its time and ends when its own event is durable", async () => {
    const { clock, host, events, ends } = start();
    for (let i = 1; i <= 100; i++) host.launch(`t${i}`, { ...timer, afterMs: 10 * i });
    await clock.advance(25);
    expect(events).toEqual(["t1 1", "t2 1"]);
    host.durable("t2", 1);
    expect([ends, host.running]).toEqual([["t2"], 99]);
    await clock.advance(1_000);
    expect(events).toHaveLength(100);
  });

  it("one of many days is waited for in pieces that timers can hold", async () => {
    const { clock, host, events } = start();
    host.launch("t1", { ...timer, afterMs: 40 * 86_400_000 });
    await clock.advance(40 * 86_400_000 - 1);
    expect(events).toEqual([]);
    await clock.advance(1);
    expect(events).toEqual(["t1 1"]);
  });

  it("R22: a stopped trigger fires no more, and leaves no timer", async () => {
    const { clock, host, events } = start();
    host.launch("t1", timer);
    expect(host.stop("t1")).toBe(true);
    expect(host.stop("t1")).toBe(false);
    await clock.advance(1_000);
    expect([events, clock.pendingTimers(), host.running]).toEqual([[], 0, 0]);
  });

  it("R22: a stopped trigger's request is cut, and its answer is no news any more", async () => {
    const { io, asked } = heldIo();
    const { clock, host, events } = start(io);
    host.launch("t1", http);
    host.stop("t1");
    expect(asked[0]?.signal.aborted).toBe(true);
    asked[0]?.answer(200);
    await clock.advance(1_000);
    expect([events, asked.length]).toEqual([[], 1]);
  });
});

describe("the world of triggers", () => {
  const folder = mkdtempSync(join(tmpdir(), "remex-trigger-"));
  let server: Server;
  let base: string;
  beforeAll(async () => {
    server = createServer((request, response) => {
      if (request.url === "/slow") return;
      if (request.url === "/away") response.writeHead(302, { location: "/" }).end();
      else if (request.url === "/large") response.end("x".repeat(1_000_000));
      else response.writeHead(201).end(String(request.headers.authorization));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
    rmSync(folder, { recursive: true });
  });
  const io = createTriggerIo();
  const never = new AbortController().signal;

  it("an answer has its status and its body, and headers are sent", async () => {
    const request = { ...http, url: `${base}/`, headers: { authorization: "me" } };
    expect(await io.ask(request, never)).toEqual({ status: 201, body: "me" });
  });

  it("a redirect is an answer, and of a large body the beginning is read", async () => {
    expect((await io.ask({ ...http, url: `${base}/away` }, never)).status).toBe(302);
    const { body } = await io.ask({ ...http, url: `${base}/large` }, never);
    expect(body).toHaveLength(65_536);
  });

  it("a request ends by its own time, by a stop, and where nobody listens", async () => {
    const slow = { ...http, url: `${base}/slow` };
    await expect(io.ask({ ...slow, requestTimeoutMs: 50 }, never)).rejects.toThrow();
    await expect(io.ask(slow, AbortSignal.abort())).rejects.toThrow();
    await expect(io.ask(http, never)).rejects.toThrow();
  });

  it("a path is looked at", async () => {
    const path = join(folder, "done");
    expect(await io.look(path)).toBeUndefined();
    writeFileSync(path, "abc");
    expect(await io.look(path)).toBe(3);
  });
});
