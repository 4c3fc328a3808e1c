// SPDX-License-Identifier: Apache-2.0
// The byte-exact texts behind the digests of the agents' contract (session.proto: Inventory, Report).

import { formatRef, type NumberedRef } from "./numbered-ref.ts";

/** What the inventory's digest is made of. */
export interface DigestEntry {
  readonly task: string;
  readonly attempt: NumberedRef;
  /** Name of the AttemptState as the contract spells it, for example "ATTEMPT_STATE_STARTED". */
  readonly state: string;
}

/**
 * The text whose SHA-256 is an inventory's digest: one line per entry, sorted by task id in byte
 * order, each line being task, "|", epoch, ".", number, "|", state and LF. Empty without entries.
 */
export function inventoryDigestText(entries: readonly DigestEntry[]): string {
  // Task ids are ASCII, for which the order of UTF-16 units is the order of bytes. A task that stands
  // in it twice (an old attempt waits for its answer) is ordered by its whole line.
  return entries
    .map((entry) => `${entry.task}|${formatRef(entry.attempt)}|${entry.state}\n`)
    .sort()
    .join("");
}

/** What a report's digest is made of. */
export interface DigestOutcome {
  /** Name of the OutcomeKind as the contract spells it, for example "OUTCOME_KIND_SUCCEEDED". */
  readonly kind: string;
  /** Name of the OutcomeReason as the contract spells it. */
  readonly reason: string;
  readonly exitCode?: number | undefined;
  /** Empty when no signal ended the process. */
  readonly signal: string;
  readonly message: string;
  readonly result: Uint8Array;
}

/**
 * The bytes whose SHA-256 is a report's digest: kind, LF, reason, LF, exit code in decimal or nothing,
 * LF, signal, LF, message, LF, and the result's bytes.
 */
export function reportDigestBytes(outcome: DigestOutcome): Uint8Array {
  const exitCode = outcome.exitCode === undefined ? "" : String(outcome.exitCode);
  const text = `${outcome.kind}\n${outcome.reason}\n${exitCode}\n${outcome.signal}\n${outcome.message}\n`;
  const head = new TextEncoder().encode(text);
  const bytes = new Uint8Array(head.length + outcome.result.length);
  bytes.set(head);
  bytes.set(outcome.result, head.length);
  return bytes;
}
