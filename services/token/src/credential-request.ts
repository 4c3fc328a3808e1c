// SPDX-License-Identifier: Apache-2.0
// What creating a credential asks for: names, texts and an expiry that is always stated (SEC-T6, SEC-T12).

import { remexError } from "@remex/domain";

const longestName = 64;
const longestDescription = 256;
const mostDays = 3_650;
const dayMs = 24 * 3_600_000;

/** Letters, marks, digits, punctuation, symbols and plain spaces: everything that prints on one line. */
const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]*$/u;

/** Reads a name: 1 to 64 printable characters, without spaces at its ends. */
export function parseCredentialName(text: string): string {
  const length = [...text].length;
  if (length < 1 || length > longestName || !printable.test(text) || text.trim() !== text) {
    throw remexError("argument_invalid", {
      field: "name",
      problem: `it must have 1 to ${longestName} printable characters and no space at its ends`,
    });
  }
  return text;
}

/** Reads a description: at most 256 printable characters. */
export function parseDescription(text: string): string {
  if ([...text].length > longestDescription || !printable.test(text)) {
    throw remexError("argument_invalid", {
      field: "description",
      problem: `it must have at most ${longestDescription} printable characters, on one line`,
    });
  }
  return text;
}

/** The choice of a request; `case` is undefined when nothing was stated. */
export type ExpiryChoice =
  | { readonly case: "expiresInDays"; readonly value: number }
  | { readonly case: "neverExpires"; readonly value: boolean }
  | { readonly case: undefined; readonly value?: undefined };

/** Reads when a credential expires; null for never. */
export function parseExpiry(expiry: ExpiryChoice, nowMs: number): number | null {
  if (expiry.case === "neverExpires" && expiry.value) {
    return null;
  }
  const days = expiry.case === "expiresInDays" ? expiry.value : 0;
  if (days < 1 || days > mostDays) {
    throw remexError("argument_invalid", {
      field: "expiry",
      problem: `state how long it lives: expires_in_days from 1 to ${mostDays}, or never_expires`,
    });
  }
  return nowMs + days * dayMs;
}
