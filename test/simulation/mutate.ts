// SPDX-License-Identifier: Apache-2.0
// Puts a mutant's patches in place of the code that is loaded; what does not fit is an error, never a surprise.

import fs from "node:fs";
import { registerHooks, syncBuiltinESMExports } from "node:module";
import { type Mutant, mutants, type Patch } from "./mutants.ts";

const root = new URL("../../", import.meta.url);

export function mutantNamed(name: string): Mutant {
  const found = mutants.find((mutant) => mutant.name === name);
  if (found === undefined) throw new Error(`there is no mutant ${name}; see mutants.ts`);
  return found;
}

/** The text with its patches; throws when one of them does not find its place exactly once. */
export function applyPatches(file: string, text: string, patches: readonly Patch[]): string {
  let patched = text;
  for (const { find, replace } of patches) {
    const places = patched.split(find).length - 1;
    if (places !== 1) throw new Error(`a patch of ${file} fits ${places} times: ${find}`);
    patched = patched.replace(find, () => replace);
  }
  return patched;
}

/** Patches of each file that has some, by its path in the repository. */
function byFile({ patches }: Mutant): Map<string, Patch[]> {
  const files = new Map<string, Patch[]>();
  for (const patch of patches) files.set(patch.file, [...(files.get(patch.file) ?? []), patch]);
  return files;
}

/** From now on the rule is gone from everything that is loaded. */
export function installMutant(name: string): void {
  const files = byFile(mutantNamed(name));
  // They must fit before anything is loaded, whether it will be or not.
  for (const [file, patches] of files) {
    applyPatches(file, fs.readFileSync(new URL(file, root), "utf8"), patches);
  }
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const file = url.startsWith(root.href) ? url.slice(root.href.length) : "";
      const patches = files.get(file);
      if (patches === undefined) return loaded;
      return { ...loaded, source: applyPatches(file, String(loaded.source), patches) };
    },
  });
  patchLua(files);
}

/** The functions of the store are read as text, when their library is put together. */
function patchLua(files: ReadonlyMap<string, readonly Patch[]>): void {
  const realRead = fs.readFileSync;
  const read = (path: string, ...rest: never[]): unknown => {
    const content = realRead(path, ...rest) as unknown;
    if (typeof path !== "string" || typeof content !== "string" || !path.endsWith(".lua"))
      return content;
    const [file, patches] = [...files].find(([known]) => path.endsWith(`/${known}`)) ?? [];
    return file === undefined || patches === undefined
      ? content
      : applyPatches(file, content, patches);
  };
  fs.readFileSync = read as unknown as typeof fs.readFileSync;
  syncBuiltinESMExports();
}
