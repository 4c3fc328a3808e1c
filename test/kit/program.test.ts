// SPDX-License-Identifier: Apache-2.0
// The kit's own promises: output is seen, whole groups end, waiting is bounded.

import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { createTempDir, findFreePort, startPrivateRedis, startProgram, waitFor } from "./index.ts";

/** A process that has ended but was not yet collected by its parent no longer runs. */
function runs(pid: number): boolean {
  const state = spawnSync("ps", ["-o", "stat=", "-p", String(pid)])
    .stdout.toString()
    .trim();
  return state !== "" && !state.startsWith("Z");
}

test("a program's output is waited for and its children end with it", async () => {
  await using program = startProgram("sh", ["-c", "sleep 60 & echo child $!; wait"]);
  const [, child] = await program.waitForOutput(/child (\d+)/);
  await program.stop();
  await waitFor(() => !runs(Number(child)), { what: "the end of the child" });
});

test("a program that ends before its output is reported with what it wrote", async () => {
  await using program = startProgram("sh", ["-c", "echo broken; exit 3"]);
  await expect(program.waitForOutput(/ready/, 300)).rejects.toThrow("did not happen");
  await expect(program.ended).resolves.toBe(3);
  expect(program.output()).toContain("broken");
});

test("waiting ends with the last reason", async () => {
  const refused = waitFor(() => Promise.reject(new Error("still closed")), {
    what: "the door",
    timeoutMs: 50,
  });
  await expect(refused).rejects.toThrow("the door did not happen within 50 ms");
});

test("a private redis can listen on a port as well", async () => {
  const port = await findFreePort();
  await using dir = await createTempDir();
  const redis = await startPrivateRedis(["--port", String(port)]);
  try {
    await using client = startProgram(
      "node",
      ["-e", `require("net").connect(${port}, "127.0.0.1").end("PING\\r\\n").pipe(process.stdout)`],
      { cwd: dir.path },
    );
    await client.waitForOutput(/\+PONG/);
  } finally {
    await redis.stop();
  }
});
