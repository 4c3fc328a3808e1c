// SPDX-License-Identifier: Apache-2.0
// Composes the Lua files of an aggregate into one Redis Functions library and loads it.
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Redis } from "ioredis";

/** A library as Redis is given it. */
export interface FunctionLibrary {
  /** Name with its version, for example `remex_task_v1`. */
  readonly name: string;
  /** The whole text. */
  readonly code: string;
}

const preludePattern = /^prelude(_[a-z]+)?\.lua$/;
const coreFolder = new URL("./functions/", import.meta.url);

/**
 * Reads `<folder>/<verb>_<noun>.lua` files, each the body of a function that sees KEYS and ARGV, and
 * registers each as `<verb>_<noun>_v<version>`. The core's `prelude.lua` and the folder's own
 * (`prelude.lua`, then `prelude_<part>.lua` by name) come first and are shared by all.
 */
export function readFunctionLibrary(
  aggregate: string,
  version: number,
  folder: URL,
): FunctionLibrary {
  const all = readdirSync(folder)
    .filter((file) => file.endsWith(".lua"))
    .sort();
  const preludes = all.filter((file) => preludePattern.test(file));
  const name = `remex_${aggregate}_v${version}`;
  const parts = [`#!lua name=${name}`, read(coreFolder, "prelude.lua")];
  for (const file of preludes) parts.push(read(folder, file));
  for (const file of all.filter((candidate) => !preludes.includes(candidate))) {
    const functionName = `${file.slice(0, -".lua".length)}_v${version}`;
    parts.push(
      `redis.register_function('${functionName}', function(KEYS, ARGV)\n${read(folder, file)}\nend)`,
    );
  }
  return { name, code: parts.join("\n") };
}

/** Loads the libraries, replacing older texts of the same name and version. Needs Redis 7 or newer. */
export async function loadFunctionLibraries(
  redis: Redis,
  libraries: readonly FunctionLibrary[],
): Promise<void> {
  for (const library of libraries) {
    await redis.call("FUNCTION", "LOAD", "REPLACE", library.code);
  }
}

function read(folder: URL, file: string): string {
  return readFileSync(fileURLToPath(new URL(file, folder)), "utf8");
}
