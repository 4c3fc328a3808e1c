// SPDX-License-Identifier: Apache-2.0
// Starts that cannot work yet, or cannot work at all: each says why and what to do.

import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { afterEach, expect, test } from "vitest";
import {
  createTempDir,
  findFreePort,
  type Program,
  startPrivateRedis,
  startProgram,
  type TempDir,
  waitFor,
} from "../../kit/index.ts";

const serveMain = fileURLToPath(new URL("../../../services/serve/src/main.ts", import.meta.url));
const cleanups: (() => PromiseLike<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function tempDir(): Promise<TempDir> {
  const dir = await createTempDir();
  cleanups.push(() => dir[Symbol.asyncDispose]());
  return dir;
}

async function redisServer(args: readonly string[] = []) {
  const redis = await startPrivateRedis(args);
  cleanups.push(() => redis.stop());
  return redis;
}

interface Started {
  readonly program: Program;
  readonly metricsUrl: string;
}

async function start(
  dataDir: string,
  redisUrl: string,
  args: readonly string[] = [],
): Promise<Started> {
  const metrics = `127.0.0.1:${await findFreePort()}`;
  const program = startProgram(process.execPath, [
    serveMain,
    ...["--data-dir", dataDir, "--redis-url", redisUrl, "--metrics-listen", metrics],
    ...["--gateway-listen", "127.0.0.1:0", "--agents-listen", "127.0.0.1:0"],
    ...["--internal-listen", "127.0.0.1:0", ...args],
  ]);
  cleanups.push(() => program.stop());
  return { program, metricsUrl: `http://${metrics}` };
}

const untilReady = (metricsUrl: string) =>
  waitFor(async () => (await fetch(`${metricsUrl}/readyz`)).status === 200, {
    what: "readiness",
    timeoutMs: 60_000,
  });

test("without Redis it waits, says so in log and readiness, and goes on by itself", async () => {
  const dir = await tempDir();
  const redis = await redisServer();
  await redis.kill();
  const { program, metricsUrl } = await start(dir.path, redis.url);
  await program.waitForOutput(/redis cannot be reached at unix:.*start it, or name another/);
  const answer = await waitFor(() => fetch(`${metricsUrl}/readyz`), { what: "the local port" });
  expect(answer.status).toBe(503);
  expect(await answer.text()).toContain("redis cannot be reached");
  await redis.start();
  await untilReady(metricsUrl);
});

test("PROTOCOL-D1: a Redis that may evict is refused at the start, with the line to set", async () => {
  const dir = await tempDir();
  const redis = await redisServer(["--maxmemory-policy", "allkeys-lru"]);
  const { program } = await start(dir.path, redis.url);
  expect(await program.ended).toBe(1);
  expect(program.output()).toContain('set \\"maxmemory-policy noeviction\\"');
});

test("a Redis that belongs to another records store is refused at the start", async () => {
  const redis = await redisServer();
  const first = await start((await tempDir()).path, redis.url);
  await untilReady(first.metricsUrl);
  await first.program.stop();
  const second = await start((await tempDir()).path, redis.url);
  expect(await second.program.ended).toBe(1);
  expect(second.program.output()).toMatch(/belongs to the records store .* and not to/);
});

test("the first admin key is written once, and its value is nowhere in the log", async () => {
  const dir = await tempDir();
  const redis = await redisServer();
  const { program, metricsUrl } = await start(dir.path, redis.url);
  await untilReady(metricsUrl);
  await program.waitForOutput(new RegExp(`"adminKeyFile":"${join(dir.path, "admin.key")}"`));
  expect(program.output()).not.toContain("rmk_");
});

test("a port in use is named with the option that chooses another", async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => new Promise((resolve) => taken.close(resolve)));
  const address = taken.address();
  const port = typeof address === "object" ? address?.port : 0;
  const dir = await tempDir();
  for (const flag of ["--gateway-listen", "--agents-listen", "--internal-listen"]) {
    const { program } = await start(dir.path, "unix:///nowhere.sock", [flag, `127.0.0.1:${port}`]);
    expect(await program.ended).toBe(1);
    expect(program.output()).toContain(
      `port ${port} on 127.0.0.1 is in use by another process; choose another with ${flag}`,
    );
  }
});

test("bad settings are told all at once, with exit code 2", async () => {
  const program = startProgram(process.execPath, [serveMain, "--roles", "x", "--redis-url", "y"]);
  cleanups.push(() => program.stop());
  expect(await program.ended).toBe(2);
  expect(program.output()).toMatch(/remex serve: --roles: x is no role/);
  expect(program.output()).toMatch(/remex serve: --redis-url: must begin with redis:/);
});

test("R32: a wiped Redis gets a new epoch and its deployments back, without a restart", async () => {
  const dir = await tempDir();
  const redis = await redisServer();
  const { program, metricsUrl } = await start(dir.path, redis.url);
  await untilReady(metricsUrl);
  const [, gateway] = await program.waitForOutput(/"gateway":"([^"]+)"/);
  const key = (await readFile(join(dir.path, "admin.key"), "utf8")).trim();
  const created = await fetch(`${gateway}/remex.registry.v1.DeploymentService/CreateDeployment`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify({ deployment: "default" }),
  });
  expect(created.status).toBe(200);
  const direct = new Redis(redis.url.slice("unix://".length));
  try {
    const before = await direct.get("rmx:global:epoch");
    await direct.flushall();
    await program.waitForOutput(/redis has a new epoch/);
    const after = await direct.get("rmx:global:epoch");
    expect(Number(after)).toBeGreaterThan(Number(before));
    await waitFor(async () => (await direct.hget("rmx:{default}:config", "epoch")) === after, {
      what: "the deployment's projection in the new epoch",
    });
    await waitFor(async () => (await direct.smembers("rmx:global:deployments")).length === 1, {
      what: "the deployment's place in the list",
    });
  } finally {
    direct.disconnect();
  }
  await untilReady(metricsUrl);
});
