// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type PrivateRedis, startPrivateRedis } from "../testing/private-redis.ts";
import { createEpochCell } from "./epoch-cell.ts";
import { readFunctionLibrary } from "./function-library.ts";
import { globalKeys } from "./keys.ts";
import { openRedis, type RedisConnections } from "./redis.ts";
import { checkRedis, judgeRedisInfo } from "./redis-checks.ts";
import { listReplicas, REPLICA_TTL_MS, removeReplica, renewReplica } from "./replica-store.ts";
import { createStore, defineFunction } from "./store.ts";
import { StoreUnavailable } from "./store-error.ts";

const echo = defineFunction<{ key: string; word: string }, { word: string; epoch: string }>({
  name: "echo_word_v1",
  keys: ({ key }) => [key],
  args: ({ word }, epoch) => [word, epoch],
  parse: (reply) => {
    const [word, epoch] = reply as Buffer[];
    return { word: String(word), epoch: String(epoch) };
  },
});

describe("the core of the store", () => {
  let server: PrivateRedis;
  let connections: RedisConnections;
  const folder = mkdtempSync(join(tmpdir(), "remex-lua-"));
  writeFileSync(
    join(folder, "echo_word.lua"),
    "redis.call('INCR', KEYS[1])\nreturn {ARGV[1], ARGV[2]}",
  );
  const library = readFunctionLibrary("echo", 1, pathToFileURL(`${folder}/`));

  beforeAll(async () => {
    server = await startPrivateRedis();
  });
  beforeEach(async () => {
    connections?.close();
    connections = openRedis({ url: server.url, connectionName: "test" });
    await connections.commands
      .ping()
      .catch(() => new Promise((resolve) => connections.commands.once("ready", resolve)));
  });
  afterAll(async () => {
    connections.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test("a missing library is loaded on the way, and again after the functions were flushed", async () => {
    const epoch = createEpochCell();
    const store = createStore(connections.commands, epoch, [library]);
    epoch.set("17");
    expect(await store.call(echo, { key: "a", word: "x" })).toEqual({ word: "x", epoch: "17" });
    await connections.commands.call("FUNCTION", "FLUSH");
    expect(await store.call(echo, { key: "a", word: "y" })).toEqual({ word: "y", epoch: "17" });
    expect(await connections.commands.get("a")).toBe("2");
  });

  test("PROTOCOL-D2: nothing is sent while the server behind the connection was not looked at", async () => {
    let admitted = false;
    const store = createStore(connections.commands, createEpochCell(), [library], {
      admits: () => admitted,
    });
    const refused = await store
      .call(echo, { key: "g", word: "x" })
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({ name: "StoreUnavailable", outcome: "not_sent" });
    expect(await connections.commands.get("g")).toBeNull();
    admitted = true;
    await store.call(echo, { key: "g", word: "x" });
    expect(await connections.commands.get("g")).toBe("1");
  });

  test("PROTOCOL-D4: a call without a connection is refused, not kept for later", async () => {
    const store = createStore(connections.commands, createEpochCell(), [library]);
    await store.call(echo, { key: "b", word: "x" });
    await server.kill();
    const failure = await store
      .call(echo, { key: "b", word: "x" })
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(StoreUnavailable);
    const back = new Promise((resolve) => connections.commands.once("ready", resolve));
    await server.start();
    await back;
    expect(await connections.commands.get("b")).toBe("1");
  });

  test("a replica's record lives while it is renewed and goes by itself", async () => {
    const redis = connections.commands;
    const record = { role: "scheduler", replica: "s-1", address: "http://a", softwareVersion: "1" };
    await renewReplica(redis, record);
    expect(await listReplicas(redis, "scheduler")).toMatchObject([record]);
    await removeReplica(redis, "scheduler", "s-1");
    expect(await listReplicas(redis, "scheduler")).toEqual([]);
    const [seconds] = await redis.time();
    const old = {
      address: "x",
      softwareVersion: "1",
      renewedAtMs: Number(seconds) * 1000 - REPLICA_TTL_MS - 1000,
    };
    await redis.hset(globalKeys.replicas("scheduler"), "s-2", JSON.stringify(old));
    expect(await listReplicas(redis, "scheduler")).toEqual([]);
    expect(await redis.hlen(globalKeys.replicas("scheduler"))).toBe(0);
  });

  test("PROTOCOL-D1: a Redis that is too old or may evict is refused with the fix", async () => {
    expect((await checkRedis(connections.commands)).problems).toEqual([]);
    const { problems, warnings } = judgeRedisInfo(
      "redis_version:6.2.7\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:0\r\n",
    );
    expect(problems).toHaveLength(2);
    expect(problems.join("\n")).toContain('set "maxmemory-policy noeviction"');
    expect(warnings).toHaveLength(1);
  });

  test("PROTOCOL-D1: replicas that are not waited for, or are waited for in vain, are pointed out", () => {
    const info = "redis_version:7.4.0\r\naof_enabled:1\r\nconnected_slaves:1\r\n";
    expect(judgeRedisInfo(info).warnings.join()).toContain("set --redis-replicas 1");
    expect(judgeRedisInfo(info, 1)).toEqual({ problems: [], warnings: [] });
    expect(judgeRedisInfo(info, 2).warnings.join()).toContain("1 replicas and 2 are waited for");
  });
});
