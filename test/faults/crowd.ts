// SPDX-License-Identifier: Apache-2.0
// A crowd of sessions over a few processes, and how many of them hold a lease.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createTempDir } from "../kit/places.ts";

export interface Crowd extends AsyncDisposable {
  readonly size: number;
  /** Sessions whose stream is open, and those that hold a lease too. */
  count(): Promise<{ connected: number; leased: number }>;
}

interface Count {
  readonly connected: number;
  readonly leased: number;
}

const perProcess = 100;
const file = fileURLToPath(new URL("./crowd-process.ts", import.meta.url));

export async function startCrowd(size: number, port: number, token: string): Promise<Crowd> {
  const folder = await createTempDir();
  const tokenFile = join(folder.path, "token");
  await writeFile(tokenFile, token, { mode: 0o600 });
  const children: ChildProcess[] = [];
  for (let at = 0; at < size; at += perProcess) {
    const count = Math.min(perProcess, size - at);
    const settings = { port, tokenFile, folder: folder.path, prefix: `crowd-${at}`, count };
    const child = fork(file, [JSON.stringify(settings)]);
    children.push(child);
    await once(child, "message");
  }
  return {
    size,
    count: async () => {
      const counts = await Promise.all(
        children.map(async (child) => {
          child.send("count");
          const [count] = (await once(child, "message")) as [Count];
          return count;
        }),
      );
      return {
        connected: counts.reduce((sum, { connected }) => sum + connected, 0),
        leased: counts.reduce((sum, { leased }) => sum + leased, 0),
      };
    },
    [Symbol.asyncDispose]: async () => {
      for (const child of children) child.kill("SIGKILL");
      await folder[Symbol.asyncDispose]();
    },
  };
}
