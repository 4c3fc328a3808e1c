// SPDX-License-Identifier: Apache-2.0
// A Redis of its own for a test file: a real server on a socket in a temporary folder, ended by pid.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";

/** A running private Redis. */
export interface PrivateRedis {
  /** URL for `openRedis`. */
  readonly url: string;
  readonly pid: number;
  /** Kills the server at once and starts it again over the same data. */
  restart(): Promise<void>;
  /** Kills the server at once; the data stay. */
  kill(): Promise<void>;
  /** Starts it again after a kill. */
  start(): Promise<void>;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
}

/** Where the server's binary is; REMEX_REDIS_SERVER names it when it is not `redis-server` on PATH. */
// biome-ignore lint/style/noProcessEnv: tests have no configuration of their own; the launcher passes the binary it found
const binary = (): string => process.env.REMEX_REDIS_SERVER ?? "redis-server";

const READY_MS = 10_000;

/** Starts a Redis with `appendonly yes`; `args` are further settings of the server. */
export async function startPrivateRedis(args: readonly string[] = []): Promise<PrivateRedis> {
  const folder = await mkdtemp(join(tmpdir(), "remex-redis-"));
  const socket = join(folder, "redis.sock");
  let child = await launch(folder, socket, args);
  const kill = async (): Promise<void> => {
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGKILL");
    await ended;
  };
  const start = async (): Promise<void> => {
    child = await launch(folder, socket, args);
  };
  return {
    url: `unix://${socket}`,
    get pid() {
      return child.pid ?? 0;
    },
    kill,
    start,
    restart: async () => {
      await kill();
      await start();
    },
    stop: async () => {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function launch(
  folder: string,
  socket: string,
  args: readonly string[],
): Promise<ChildProcess> {
  const settings = ["--port", "0", "--unixsocket", socket, "--dir", folder, "--appendonly", "yes"];
  const child = spawn(binary(), [...settings, "--save", "", "--loglevel", "warning", ...args], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const failed = new Promise<never>((_, reject) => {
    child.once("error", (cause) =>
      reject(
        new Error(
          `cannot start ${binary()}; install redis 7 or newer, or name its binary in REMEX_REDIS_SERVER`,
          { cause },
        ),
      ),
    );
    child.once("exit", (code) => reject(new Error(`redis ended at its start with code ${code}`)));
  });
  failed.catch(() => undefined);
  await Promise.race([answers(socket), failed]);
  return child;
}

async function answers(socket: string): Promise<void> {
  const deadline = performance.now() + READY_MS;
  const redis = new Redis(socket, {
    lazyConnect: true,
    maxRetriesPerRequest: null,
    retryStrategy: () => (performance.now() < deadline ? 20 : null),
  });
  redis.on("error", () => undefined);
  try {
    await redis.ping();
  } finally {
    redis.disconnect();
  }
}
