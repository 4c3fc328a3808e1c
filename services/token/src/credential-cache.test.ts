// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { cacheLifeMs, createCredentialCache } from "./credential-cache.ts";

test("SEC-T7: a record that was read while it changed is not kept", async () => {
  const reads = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
  let count = 0;
  const cache = createCredentialCache(
    () => 0,
    () => reads[count++]?.promise ?? Promise.resolve("third"),
  );
  const loading = cache.load("a");
  cache.forget("a");
  reads[0]?.resolve("before the revocation");
  reads[1]?.resolve("revoked");
  expect(await loading).toBe("revoked");
  expect(await cache.load("a")).toBe("revoked");
  expect(count).toBe(2);
});

test("SEC-T3: a record lives for ten seconds, an unknown id is asked for each time", async () => {
  let nowMs = 0;
  const asked: string[] = [];
  const cache = createCredentialCache(
    () => nowMs,
    async (id) => {
      asked.push(id);
      return id === "known" ? "record" : undefined;
    },
  );
  for (const id of ["known", "known", "unknown", "unknown"]) await cache.load(id);
  expect(asked).toEqual(["known", "unknown", "unknown"]);
  nowMs = cacheLifeMs;
  await cache.load("known");
  expect(asked).toHaveLength(4);
});
