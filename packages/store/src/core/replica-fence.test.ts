// SPDX-License-Identifier: Apache-2.0
import { createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { submission } from "../task/task-test-kit.ts";
import { createTaskStore, taskLibrary } from "../task/task-store.ts";
import { type PrivateRedis, startPrivateRedis } from "../testing/private-redis.ts";
import { primaryArgs, type RedisReplica, startReplicaOf } from "../testing/redis-replica.ts";
import { createEpochCell } from "./epoch-cell.ts";
import { configKey } from "./keys.ts";
import { openRedis, type RedisConnections } from "./redis.ts";
import { createReplicaFence } from "./replica-fence.ts";
import { createStore } from "./store.ts";
import { StoreUnavailable } from "./store-error.ts";

const deployment = "team-a";
const epoch = "1794000000";
const ready = (redis: RedisConnections["commands"]) =>
  redis.status === "ready" ? undefined : new Promise((resolve) => redis.once("ready", resolve));

describe("what is acknowledged while a replica is waited for", () => {
  let primary: PrivateRedis;
  let replica: RedisReplica;
  let opened: RedisConnections[];
  beforeEach(async () => {
    const port = await freePort();
    primary = await startPrivateRedis(primaryArgs(port));
    replica = await startReplicaOf(primary, port);
    const first = openRedis({ url: primary.url, connectionName: "fence-test" });
    opened = [first];
    await ready(first.commands);
    // A replica that has just taken over the data acknowledges nothing for a moment.
    await first.commands.set("here", "1");
    await first.commands.wait(1, 10_000);
  }, 30_000);
  afterEach(async () => {
    for (const connections of opened) connections.close();
    await replica.stop();
    await primary.stop();
  });

  /** The tasks as one process sees them. */
  const process = async (replicas: number) => {
    const connections = openRedis({ url: primary.url, connectionName: "fence-test" });
    opened.push(connections);
    const waiting = connections.openAnother("replicas");
    await Promise.all([ready(connections.commands), ready(waiting)]);
    const cell = createEpochCell();
    cell.set(epoch);
    const { commands } = connections;
    const fence = createReplicaFence({ replicas, timeoutMs: 500, commands, waiting });
    const guards = replicas === 0 ? {} : { settled: fence.settled };
    await commands.hset(configKey(deployment), { epoch, revision: "1", queues: '["default"]' });
    return createTaskStore(createStore(commands, cell, [taskLibrary], guards));
  };
  const submit = (tasks: Awaited<ReturnType<typeof process>>, word: string) =>
    tasks.submit({ deployment, items: [submission(word)] });
  const known = async (tasks: Awaited<ReturnType<typeof process>>, word: string) => {
    const read = await tasks.get({ deployment, ids: [submission(word).id] });
    return read.kind === "tasks" && read.rows[0] !== undefined;
  };

  test("PROTOCOL-D1 D3: a submit that was acknowledged outlives the promotion of the replica", async () => {
    const tasks = await process(1);
    expect(await submit(tasks, "one")).toMatchObject({ kind: "submitted" });
    await replica.promote();
    expect(await known(await process(0), "one")).toBe(true);
  }, 30_000);

  test("PROTOCOL-D1: what no replica has is not acknowledged; without the setting it is, and is lost", async () => {
    const tasks = await process(1);
    const careless = await process(0);
    await replica.cut();
    await expect(submit(tasks, "one")).rejects.toThrow(StoreUnavailable);
    expect(await submit(careless, "two")).toMatchObject({ kind: "submitted" });
    await replica.promote();
    const after = await process(0);
    expect([await known(after, "one"), await known(after, "two")]).toEqual([false, false]);
  }, 30_000);

  test("PROTOCOL-D1: a repeated submit waits too, at another process as well: it is there and not replicated", async () => {
    const tasks = await process(1);
    const other = await process(1);
    expect(await submit(other, "zero")).toMatchObject({ kind: "submitted" });
    await replica.cut();
    await expect(submit(tasks, "one")).rejects.toMatchObject({ outcome: "unknown" });
    await expect(submit(tasks, "one")).rejects.toThrow(
      /0 of 1 replicas had the write within 500 ms/,
    );
    await expect(submit(other, "one")).rejects.toThrow(StoreUnavailable);
  }, 30_000);

  test("PROTOCOL-D1: confirms, results and cancels wait, reads and claims do not; many calls share a wait", async () => {
    const tasks = await process(1);
    await replica.cut();
    const groups = [{ agent: "a1", session: `${epoch}.1`, accepts: [], reports: [] }];
    await expect(tasks.confirm({ deployment, groups })).rejects.toThrow(StoreUnavailable);
    await expect(tasks.settle({ deployment, groups })).rejects.toThrow(StoreUnavailable);
    await expect(tasks.cancel({ deployment, ids: ["t_x"] })).rejects.toThrow(StoreUnavailable);
    expect(await known(tasks, "one")).toBe(false);
    const claim = { deployment, candidates: [], offerTtlMs: 1_000, most: 1 };
    expect(await tasks.claim(claim)).toMatchObject({ kind: "claimed" });
    const waits = async () => {
      const stats = await opened[0]?.commands.info("commandstats");
      return Number(/^cmdstat_wait:calls=(\d+)/m.exec(stats ?? "")?.[1] ?? 0);
    };
    const before = await waits();
    const all = Array.from({ length: 20 }, (_, at) => submit(tasks, `w${at}`));
    const results = await Promise.allSettled(all);
    expect(results.every(({ status }) => status === "rejected")).toBe(true);
    expect((await waits()) - before).toBeLessThanOrEqual(3);
  }, 30_000);
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
