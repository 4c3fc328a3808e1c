// SPDX-License-Identifier: Apache-2.0
// The Redis of one run: the user's own by REDIS_URL, else a private one on a Unix socket.

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { say, step } from "../launch/progress.mjs";
import { findRedisServer } from "../tools/redis-binary.ts";
import type { Programs } from "./programs.ts";
import { waitUntil } from "./wait.ts";

function ping(socket: string): Promise<true | undefined> {
  return new Promise((resolve, reject) => {
    const connection = connect(socket, () => connection.write("PING\r\n"));
    connection.once("error", reject);
    connection.once("data", (answer) => {
      connection.destroy();
      resolve(answer.toString().startsWith("+PONG") ? true : undefined);
    });
  });
}

/** @returns the URL of a Redis that answers */
export async function startRedis(programs: Programs, dataDir: string): Promise<string> {
  const given = process.env.REDIS_URL;
  if (given !== undefined && given !== "") {
    say("using the Redis that REDIS_URL names");
    return given;
  }
  const command = await findRedisServer();
  const dir = path.join(dataDir, "redis");
  mkdirSync(dir, { recursive: true });
  // A socket's path may have about 100 characters only, so it cannot lie in the checkout.
  const socketDir = mkdtempSync(path.join(tmpdir(), "remex-"));
  process.once("exit", () => rmSync(socketDir, { recursive: true, force: true }));
  const socket = path.join(socketDir, "redis.sock");
  const listen = ["--port", "0", "--unixsocket", socket, "--unixsocketperm", "700"];
  const keep = ["--dir", dir, "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""];
  await step("starting Redis", async () => {
    await programs.start({
      name: "redis",
      command,
      args: [...listen, ...keep],
      env: process.env,
      cwd: dir,
      stage: 0,
    });
    await waitUntil("Redis", 20_000, () => ping(socket), `read ${programs.logFileOf("redis")}`);
  });
  return `unix://${socket}`;
}
