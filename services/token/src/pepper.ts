// SPDX-License-Identifier: Apache-2.0
// The peppers that credentials are hashed with (SEC-T3): in a file of their own, outside every store.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Records } from "@remex/records";
import { loadOrCreateSecretFile } from "@remex/runtime";

export interface Peppers {
  /** Version that new credentials are hashed with. */
  readonly newest: number;
  /** Keyed hash, hex; undefined when the file does not hold that version. */
  digest(version: number, value: string): string | undefined;
  /** What tells peppers apart without giving them away, by version. */
  readonly fingerprints: ReadonlyMap<number, string>;
}

const pepperBytes = 32;
const linePattern = /^v(\d{1,6}) ([0-9a-f]{64})$/;

/**
 * Reads the peppers of a file, or makes it with the first one. One line a version, `v1 <64 hex>`; adding
 * a line rotates the pepper, and old lines stay while credentials hashed with them live.
 */
export async function loadPeppers(path: string): Promise<Peppers> {
  const text = await loadOrCreateSecretFile(
    path,
    () => `v1 ${randomBytes(pepperBytes).toString("hex")}`,
  );
  return parsePeppers(text, path);
}

/** Reads the text of a pepper file; `path` is for the error. */
export function parsePeppers(text: string, path: string): Peppers {
  const keys = new Map<number, Buffer>();
  for (const line of text.split("\n").filter((part) => part.trim() !== "")) {
    const match = linePattern.exec(line.trim());
    if (match?.[1] === undefined || match[2] === undefined) {
      throw new Error(
        `${path} has a line that is not "v<number> <64 hex digits>"; restore the file`,
      );
    }
    keys.set(Number(match[1]), Buffer.from(match[2], "hex"));
  }
  if (keys.size === 0) {
    throw new Error(`${path} holds no pepper; restore the file`);
  }
  return {
    newest: Math.max(...keys.keys()),
    fingerprints: new Map([...keys].map(([version, key]) => [version, fingerprintOf(key)])),
    digest: (version, value) => {
      const key = keys.get(version);
      return key === undefined ? undefined : createHmac("sha256", key).update(value).digest("hex");
    },
  };
}

function fingerprintOf(key: Buffer): string {
  return createHmac("sha256", key).update("remex pepper fingerprint").digest("hex");
}

/**
 * Refuses peppers that are not those of this records store: with another pepper, or without an old one,
 * every credential made before would be refused as unknown.
 */
export async function requireOwnPeppers(
  records: Pick<Records, "peppers">,
  peppers: Peppers,
  path: string,
): Promise<void> {
  const known = await records.peppers.note(peppers.fingerprints);
  for (const [version, fingerprint] of known) {
    const own = peppers.fingerprints.get(version);
    if (own === fingerprint) continue;
    const what = own === undefined ? "is missing from" : "is another one in";
    throw new Error(
      `pepper v${version}, which this installation's credentials were hashed with, ${what} ${path}: restore the file, ` +
        "or give every process the same --data-dir",
    );
  }
}

/** SEC-T4: compares in constant time; digests of different length are unequal, not an error. */
export function sameDigest(one: string, other: string): boolean {
  const left = Buffer.from(one, "utf8");
  const right = Buffer.from(other, "utf8");
  return left.length === right.length && timingSafeEqual(left, right);
}
