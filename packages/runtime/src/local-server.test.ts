// SPDX-License-Identifier: Apache-2.0
// Proves the local port: metrics with our prefix, liveness, and readiness with its problems.

import { afterEach, describe, expect, test } from "vitest";
import { type LocalServer, startLocalServer } from "./local-server.ts";
import { createMetrics } from "./metrics.ts";
import { createReadiness } from "./readiness.ts";

const running: LocalServer[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()));
});

async function start() {
  const metrics = createMetrics({ labels: { service: "registry" } });
  const readiness = createReadiness();
  const listen = { host: "127.0.0.1", port: 0 };
  const server = await startLocalServer({ listen, flag: "--metrics-listen", metrics, readiness });
  running.push(server);
  const get = (path: string) => fetch(`http://127.0.0.1:${server.address.port}${path}`);
  return { metrics, readiness, server, get };
}

describe("the local port", () => {
  test("SEC-S5: serves metrics: ours, the process's and the event loop's", async () => {
    const { metrics, get } = await start();
    metrics.counter("frames_total", "frames", ["link"]).inc({ link: "beat" }, 3);
    metrics.counter("frames_total", "frames", ["link"]).inc({ link: "beat" });
    const text = await (await get("/metrics")).text();
    expect(text).toContain('remex_frames_total{link="beat",service="registry"} 4');
    expect(text).toContain("remex_event_loop_lag_seconds");
    expect(text).toContain("process_resident_memory_bytes");
  });

  test("/readyz names what is missing, until nothing is", async () => {
    const { readiness, get } = await start();
    const redis = readiness.part("redis");
    const records = readiness.part("records");
    records.ready();
    expect((await get("/readyz")).status).toBe(503);
    redis.notReady("connection refused");
    expect(await (await get("/readyz")).json()).toEqual({
      ready: false,
      problems: { redis: "connection refused" },
    });
    redis.ready();
    const ready = await get("/readyz");
    expect(ready.status).toBe(200);
    expect(await ready.json()).toEqual({ ready: true, problems: {} });
  });

  test("/healthz is ok while the process turns; other paths are not found", async () => {
    const { get } = await start();
    expect((await get("/healthz")).status).toBe(200);
    expect((await get("/")).status).toBe(404);
  });

  test("a port in use is told by name, with the option that chooses another", async () => {
    const { server, metrics, readiness } = await start();
    const again = startLocalServer({
      listen: server.address,
      flag: "--metrics-listen",
      metrics,
      readiness,
    });
    await expect(again).rejects.toThrow(
      `port ${server.address.port} on 127.0.0.1 is in use by another process; choose another with --metrics-listen`,
    );
  });
});

describe("readiness", () => {
  test("tells changes between ready and not, and nothing in between", () => {
    const readiness = createReadiness();
    const seen: boolean[] = [];
    const stop = readiness.onChange((report) => seen.push(report.ready));
    const first = readiness.part("a");
    const second = readiness.part("b");
    first.ready();
    second.ready();
    second.notReady("x");
    first.notReady("y");
    stop();
    first.ready();
    second.ready();
    expect(seen).toEqual([false, true, false]);
    expect(readiness.report().ready).toBe(true);
  });
});
