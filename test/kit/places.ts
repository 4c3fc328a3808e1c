// SPDX-License-Identifier: Apache-2.0
// Temporary folders and free ports for tests.

import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

export interface TempDir extends AsyncDisposable {
  readonly path: string;
}

/** A folder that is removed when its scope ends (`await using dir = await createTempDir()`). */
export async function createTempDir(): Promise<TempDir> {
  const dir = await mkdtemp(path.join(tmpdir(), "remex-"));
  return {
    path: dir,
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}

/** A port that was free a moment ago; for programs that cannot be told to listen on 0. */
export async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port was given");
  return address.port;
}
