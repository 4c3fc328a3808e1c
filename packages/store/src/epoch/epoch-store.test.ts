// SPDX-License-Identifier: Apache-2.0
import { createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createEpochCell } from "../core/epoch-cell.ts";
import { globalKeys } from "../core/keys.ts";
import { openRedis, type RedisConnections } from "../core/redis.ts";
import { type PrivateRedis, startPrivateRedis } from "../testing/private-redis.ts";
import { primaryArgs, startReplicaOf } from "../testing/redis-replica.ts";
import { ensureEpoch, lookAtEpoch } from "./epoch-store.ts";
import { readServerIdentity, type ServerIdentity } from "./server-identity.ts";

const identity: ServerIdentity = {
  runId: "run-a",
  replId: "repl-a",
  promoted: false,
  role: "master",
};
const nowMs = 1_800_000_000_500;
const now = 1_800_000_000;

describe("the epoch of the store", () => {
  let server: PrivateRedis;
  let connections: RedisConnections;
  const redis = () => connections.commands;

  beforeEach(async () => {
    server = await startPrivateRedis(["--appendfsync", "always"]);
    connections = openRedis({ url: server.url, connectionName: "epoch-test" });
    await ready();
  });
  afterEach(async () => {
    connections.close();
    await server.stop();
  });
  async function ready(): Promise<void> {
    if (redis().status !== "ready") await new Promise((resolve) => redis().once("ready", resolve));
  }
  /** What a process that knows nothing finds, as long as nothing else is said. */
  const look = (change: Partial<ServerIdentity> = {}, atMs = nowMs, cell = createEpochCell()) =>
    lookAtEpoch(redis(), cell, { identity: { ...identity, ...change }, nowMs: atMs });

  test("PROTOCOL-T7: the first epoch is the store's time in seconds, and stands", async () => {
    const cell = createEpochCell();
    const first = await ensureEpoch(redis(), cell);
    const [seconds] = await redis().time();
    expect(Number(seconds) - Number(first)).toBeLessThan(60);
    expect(await ensureEpoch(redis(), cell)).toBe(first);
    expect(await ensureEpoch(redis(), createEpochCell())).toBe(first);
    expect(cell.current()).toBe(first);
  });

  test("PROTOCOL-I9: an epoch that the store forgot is followed by a greater one, within its second too", async () => {
    const cell = createEpochCell();
    const first = await ensureEpoch(redis(), cell);
    await redis().flushall();
    const second = await ensureEpoch(redis(), cell);
    expect(Number(second)).toBeGreaterThan(Number(first));
  });

  test("PROTOCOL-D2: a restart of the server over its own data begins a new epoch, noticed by who knew nothing of the old one", async () => {
    const first = await ensureEpoch(redis(), createEpochCell());
    const back = new Promise((resolve) => redis().once("ready", resolve));
    await server.restart();
    await back;
    expect(await redis().get(globalKeys.epoch)).toBe(first);
    const found = await lookAtEpoch(redis(), createEpochCell());
    expect(found.began).toBe("run_id");
    expect(Number(found.epoch)).toBeGreaterThan(Number(first));
  });

  test("PROTOCOL-D2: a promoted replica begins a new epoch, by its run id, under the same address", async () => {
    const port = await freePort();
    const primary = await startPrivateRedis(primaryArgs(port));
    const replica = await startReplicaOf(primary, port);
    const other = openRedis({ url: primary.url, connectionName: "epoch-test" });
    try {
      await new Promise((resolve) => other.commands.once("ready", resolve));
      const first = await ensureEpoch(other.commands, createEpochCell());
      await other.commands.wait(1, 5_000);
      const back = new Promise((resolve) => other.commands.once("ready", resolve));
      await replica.promote();
      await back;
      expect(await other.commands.get(globalKeys.epoch)).toBe(first);
      const found = await lookAtEpoch(other.commands, createEpochCell());
      expect(found.began).toBe("run_id");
      expect(Number(found.epoch)).toBeGreaterThan(Number(first));
    } finally {
      other.close();
      await primary.stop();
      await replica.stop();
    }
  });

  test("PROTOCOL-D2: of many that notice at once one begins the epoch, and the others adopt it", async () => {
    await look();
    const cells = Array.from({ length: 20 }, createEpochCell);
    const found = await Promise.all(cells.map((cell) => look({ runId: "run-b" }, nowMs, cell)));
    expect(found.filter(({ began }) => began === "run_id")).toHaveLength(1);
    expect(new Set(cells.map((cell) => cell.current()))).toEqual(new Set([String(now + 1)]));
  });

  test("PROTOCOL-D2: a new epoch is one more than the greatest seen, and never before the store's time", async () => {
    expect(await look()).toEqual({ epoch: String(now), began: "missing" });
    expect(await look({ runId: "run-b" })).toEqual({ epoch: String(now + 1), began: "run_id" });
    const later = nowMs + 60_000;
    expect(await look({ runId: "run-c" }, later)).toMatchObject({ epoch: String(now + 60) });
    // A server whose clock went back, restored from before this process's time.
    const cell = createEpochCell();
    cell.set(String(now + 500));
    const found = await look({ runId: "run-d" }, nowMs, cell);
    expect(found.epoch).toBe(String(now + 501));
  });

  test("PROTOCOL-D2: a store that is older than a service has seen begins a new epoch without a new server", async () => {
    const cell = createEpochCell();
    await look({}, nowMs, cell);
    await redis().set(globalKeys.epoch, "5");
    expect(await look({}, nowMs, cell)).toEqual({ epoch: String(now + 1), began: "behind" });
  });

  test("PROTOCOL-D2: a promotion in the same life of the server counts, a replica that comes or goes does not", async () => {
    await look();
    expect(await look({ replId: "repl-b" })).toEqual({ epoch: String(now), began: "" });
    expect(await look({ replId: "repl-b", promoted: true })).toMatchObject({ began: "" });
    expect(await look({ replId: "repl-c", promoted: true })).toMatchObject({ began: "promoted" });
  });

  test("PROTOCOL-D2: an agent that has seen a greater epoch brings the store beyond it, but not at will", async () => {
    const liar = createEpochCell();
    await look({}, nowMs, liar);
    liar.claim(now + 90_000);
    const late = nowMs + 700_000;
    // Nothing that is called an epoch can be a day ahead of the store's time.
    expect(await look({}, late, liar)).toMatchObject({ began: "" });
    const honest = createEpochCell();
    honest.set(String(now));
    honest.claim(now + 5);
    // Each new epoch stops offers for a while, so that claims of ten minutes count as one.
    expect(await look({}, nowMs + 1_000, honest)).toMatchObject({ began: "" });
    expect(await look({}, late, honest)).toEqual({ epoch: String(now + 700), began: "claimed" });
  });

  test("PROTOCOL-D2: a server says of itself who it is", async () => {
    const own = readServerIdentity(await redis().info());
    expect(own).toMatchObject({ role: "master", promoted: false });
    expect(own.runId).toMatch(/^[0-9a-f]{40}$/);
    const ids = "run_id:a1\r\nrole:slave\r\nmaster_replid:b2\r\nmaster_replid2:00c0\r\n";
    expect(readServerIdentity(ids)).toEqual({
      runId: "a1",
      replId: "b2",
      promoted: true,
      role: "slave",
    });
  });
});

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
