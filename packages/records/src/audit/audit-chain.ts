// SPDX-License-Identifier: Apache-2.0
// The hash chain of the audit: what an entry's hash is made of, and whether a run of entries is whole.

import { createHash } from "node:crypto";

export interface AuditEntryContent {
  /** Random id. */
  readonly entry: string;
  readonly atMs: number;
  readonly actor: string;
  readonly address: string;
  readonly action: string;
  readonly deployment: string;
  readonly subject: string;
  readonly result: string;
  readonly detailJson: string;
}

export interface AuditEntryRecord extends AuditEntryContent {
  /** Position in the chain, from 1. */
  readonly number: number;
  /** Hex SHA-256 over the hash before and this entry's fields. */
  readonly hash: string;
}

/** Every field is hashed with its length, so that no two entries share one form. */
export function decideAuditHash(
  previousHash: string,
  number: number,
  content: AuditEntryContent,
): string {
  const hash = createHash("sha256");
  const fields = [
    previousHash,
    String(number),
    content.entry,
    String(content.atMs),
    content.actor,
    content.address,
    content.action,
    content.deployment,
    content.subject,
    content.result,
    content.detailJson,
  ];
  for (const field of fields) {
    hash.update(`${Buffer.byteLength(field)}:`).update(field);
  }
  return hash.digest("hex");
}

/**
 * Finds the first entry, in ascending order, that does not follow from the one before it. The entries
 * are checked from `previousHash`, which is empty for the beginning of the chain.
 */
export function findBrokenAuditEntry(
  previousHash: string,
  entries: readonly AuditEntryRecord[],
): AuditEntryRecord | undefined {
  let last = previousHash;
  let number = entries[0]?.number ?? 1;
  for (const entry of entries) {
    if (entry.number !== number || entry.hash !== decideAuditHash(last, entry.number, entry)) {
      return entry;
    }
    last = entry.hash;
    number += 1;
  }
  return undefined;
}
