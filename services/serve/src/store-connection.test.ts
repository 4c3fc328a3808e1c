// SPDX-License-Identifier: Apache-2.0
import { createReadiness, createSilentLogger, createSystemClock } from "@remex/runtime";
import { createDeploymentStore } from "@remex/store";
import { type PrivateRedis, startPrivateRedis } from "@remex/store/testing";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { openStoreConnection, type StoreConnection } from "./store-connection.ts";

const within = { timeout: 20_000, interval: 10 };

describe("a process's connection to Redis", () => {
  let server: PrivateRedis;
  let connection: StoreConnection;
  const readiness = createReadiness();
  const open = (recordsId = "records-1") =>
    openStoreConnection({
      redisUrl: server.url,
      connectionName: "test",
      recordsId,
      part: readiness.part("redis"),
      clock: createSystemClock(),
      log: createSilentLogger(),
    });

  beforeEach(async () => {
    server = await startPrivateRedis();
    connection = open();
    await connection.fit;
  });
  afterEach(async () => {
    connection.close();
    await server.stop();
  });

  test("PROTOCOL-D2: on a new connection no function is sent before its server was looked at, which begins a new epoch", async () => {
    const first = connection.store.epoch.current();
    const deployments = createDeploymentStore(connection.store);
    const project = () => deployments.project({ deployment: "dep" } as never);
    let atOnce: Promise<unknown> | undefined;
    connection.connections.commands.once("ready", () => {
      atOnce = project().catch((error: unknown) => error);
    });
    let changes = 0;
    connection.onFit(() => {
      changes += 1;
    });
    await server.restart();
    await vi.waitFor(() => expect(changes).toBe(1), within);
    expect(await atOnce).toMatchObject({ name: "StoreUnavailable", outcome: "not_sent" });
    expect(Number(connection.store.epoch.current())).toBeGreaterThan(Number(first));
  });

  test("PROTOCOL-D2: two processes that lose the same server come to the same epoch, once", async () => {
    const other = open();
    try {
      await other.fit;
      const first = connection.store.epoch.current();
      expect(other.store.epoch.current()).toBe(first);
      await server.restart();
      await vi.waitFor(() => {
        const epoch = connection.store.epoch.current();
        expect(Number(epoch)).toBeGreaterThan(Number(first));
        expect(other.store.epoch.current()).toBe(epoch);
      }, within);
      const settled = connection.store.epoch.current();
      await server.restart();
      await vi.waitFor(() => {
        expect(Number(connection.store.epoch.current())).toBeGreaterThan(Number(settled));
      }, within);
    } finally {
      other.close();
    }
  });

  test("R32, PROTOCOL-D2: a wipe under a living connection is noticed by the first refused call", async () => {
    const first = connection.store.epoch.current();
    const direct = connection.connections.commands;
    await direct.flushall();
    const deployments = createDeploymentStore(connection.store);
    expect(await deployments.project({ deployment: "dep" } as never)).toBe("epoch_stale");
    await vi.waitFor(() => {
      expect(Number(connection.store.epoch.current())).toBeGreaterThan(Number(first));
    }, within);
  });

  test("PROTOCOL-D2: a Redis that is a replica is waited for, and used when it is promoted", async () => {
    const direct = connection.connections.commands;
    const first = connection.store.epoch.current();
    await direct.replicaof("127.0.0.1", 1);
    await vi.waitFor(() => expect(readiness.report().ready).toBe(false), within);
    await vi.waitFor(() => {
      expect(Object.values(readiness.report().problems).join()).toMatch(/is a replica/);
    }, within);
    await direct.replicaof("NO", "ONE");
    await vi.waitFor(() => expect(readiness.report().ready).toBe(true), within);
    // It followed another server for a while: what it holds may be that one's.
    expect(Number(connection.store.epoch.current())).toBeGreaterThan(Number(first));
  });
});
