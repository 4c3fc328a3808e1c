// SPDX-License-Identifier: Apache-2.0
// Proves the orderly end: parts in reverse order, each with a deadline, and what signals do.

import { EventEmitter } from "node:events";
import { describe, expect, test } from "vitest";
import { createSilentLogger } from "./log.ts";
import { runProcess } from "./process.ts";
import { createShutdown } from "./shutdown.ts";

const log = createSilentLogger();

describe("shutdown", () => {
  test("stops parts one after the other, the last added first, once", async () => {
    const shutdown = createShutdown(log);
    const seen: string[] = [];
    const part = (name: string) => ({
      name,
      deadlineMs: 1_000,
      async stop() {
        seen.push(`${name} begins`);
        await Promise.resolve();
        seen.push(`${name} done`);
      },
    });
    shutdown.add(part("store"));
    shutdown.add(part("door"));
    await Promise.all([shutdown.stop("test"), shutdown.stop("again")]);
    expect(seen).toEqual(["door begins", "door done", "store begins", "store done"]);
    expect(shutdown.signal.aborted).toBe(true);
  });

  test("a part that hangs or fails does not hold the others", async () => {
    const shutdown = createShutdown(log);
    const seen: string[] = [];
    shutdown.add({ name: "last", deadlineMs: 1_000, stop: () => void seen.push("last") });
    shutdown.add({
      name: "fails",
      deadlineMs: 1_000,
      stop() {
        throw new Error("boom");
      },
    });
    shutdown.add({ name: "hangs", deadlineMs: 10, stop: () => new Promise(() => undefined) });
    await shutdown.stop("test");
    expect(seen).toEqual(["last"]);
  });
});

describe("a process", () => {
  function start() {
    const events = new EventEmitter();
    const exits: number[] = [];
    const exited = Promise.withResolvers<void>();
    const shutdown = createShutdown(log);
    runProcess({
      log,
      shutdown,
      events: {
        on: (event, listener) => events.on(event, listener as () => void),
        exit(code) {
          exits.push(code);
          exited.resolve();
        },
      },
    });
    return { events, exits, exited: exited.promise, shutdown };
  }

  test.each(["SIGTERM", "SIGINT"])("%s stops it in order and it exits 0", async (signal) => {
    const { events, exits, exited, shutdown } = start();
    let stopped = false;
    shutdown.add({
      name: "part",
      deadlineMs: 1_000,
      stop() {
        stopped = true;
      },
    });
    events.emit(signal);
    await exited;
    expect(exits).toEqual([0]);
    expect(stopped).toBe(true);
  });

  test("a second signal exits at once", () => {
    const { events, exits, shutdown } = start();
    shutdown.add({ name: "hangs", deadlineMs: 20, stop: () => new Promise(() => undefined) });
    events.emit("SIGTERM");
    events.emit("SIGINT");
    expect(exits).toEqual([130]);
  });

  test.each(["unhandledRejection", "uncaughtException"])("%s ends it with 1", (event) => {
    const { events, exits } = start();
    events.emit(event, new Error("boom"));
    expect(exits).toEqual([1]);
  });
});
