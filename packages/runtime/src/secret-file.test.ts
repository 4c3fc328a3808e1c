// SPDX-License-Identifier: Apache-2.0
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadOrCreateSecretFile, readSecretFile, writeSecretFile } from "./secret-file.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "remex-secret-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

test("a secret's file is made once, for its owner alone, and read again", async () => {
  const path = join(folder, "service.key");
  expect(await loadOrCreateSecretFile(path, () => "first")).toBe("first");
  expect(await loadOrCreateSecretFile(path, () => "second")).toBe("first");
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readdir(folder)).toEqual(["service.key"]);
});

test("of several that make it at once, all get the same", async () => {
  const path = join(folder, "pepper");
  const texts = await Promise.all(
    Array.from({ length: 10 }, (_, index) => loadOrCreateSecretFile(path, () => `secret ${index}`)),
  );
  expect(new Set(texts).size).toBe(1);
});

test("a file that everybody may read, an empty one and one in the way are refused with the fix", async () => {
  const path = join(folder, "service.key");
  await writeFile(path, "secret");
  await chmod(path, 0o644);
  await expect(readSecretFile(path)).rejects.toThrow(`run chmod 600 ${path}`);
  await chmod(path, 0o640);
  expect(await readSecretFile(path)).toBe("secret");
  await expect(writeSecretFile(path, "other")).rejects.toThrow("cannot be written");
  await writeFile(path, "\n");
  await expect(readSecretFile(path)).rejects.toThrow("is empty");
  await expect(readSecretFile(join(folder, "none"))).rejects.toThrow("cannot be read");
});
