// SPDX-License-Identifier: Apache-2.0
// Makes the first admin key of a records store and writes it to a file, once.

import { randomBytes } from "node:crypto";
import { readdir, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Records } from "@remex/records";
import { type Clock, readSecretFile, writeSecretFile } from "@remex/runtime";
import { parseCredential } from "./credential.ts";
import { createOperatorKey } from "./operator-key-handlers.ts";
import type { Peppers } from "./pepper.ts";

export interface BootstrapDeps {
  readonly records: Pick<Records, "operatorKeys">;
  readonly peppers: Peppers;
  readonly clock: Clock;
  readonly dataDir: string;
}

const fileName = "admin.key";
const draftPattern = /^admin\.key\.draft-[0-9a-f]{12}$/;

/**
 * Makes the first admin key when the store has never had a key; answers the path of its file, or
 * undefined when this store's first key was made before. The value is in a draft file before the record
 * is written, so that a crash between the two loses neither: the next start finds the draft.
 */
export async function ensureBootstrapKey(deps: BootstrapDeps): Promise<string | undefined> {
  const path = join(deps.dataDir, fileName);
  if (await adoptDraft(deps, path)) {
    return path;
  }
  const key = createOperatorKey(deps.peppers, {
    name: "bootstrap admin",
    role: "admin",
    deployment: "",
    expiresAtMs: null,
    nowMs: deps.clock.wallMs(),
  });
  const draft = join(deps.dataDir, `${fileName}.draft-${randomBytes(6).toString("hex")}`);
  await writeSecretFile(draft, key.value);
  if ((await deps.records.operatorKeys.createFirst(key.record)) === undefined) {
    await unlink(draft);
    return undefined;
  }
  // An admin.key of another records store is of no use any more.
  await rename(draft, path);
  return path;
}

/** Finishes what a crash between the record and the file's name left behind. */
async function adoptDraft(deps: BootstrapDeps, path: string): Promise<boolean> {
  const names = (await readdir(deps.dataDir)).filter((name) => draftPattern.test(name));
  for (const name of names) {
    const draft = join(deps.dataDir, name);
    const value = await readSecretFile(draft).catch(() => "");
    const credential = parseCredential("rmk", value);
    const record = credential && (await deps.records.operatorKeys.load(credential.publicId));
    if (record !== undefined) {
      await rename(draft, path);
      return true;
    }
  }
  return false;
}
