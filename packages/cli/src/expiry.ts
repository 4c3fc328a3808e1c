// SPDX-License-Identifier: Apache-2.0
// How long a token or key lives: always stated, in days, or "never" chosen openly (SEC-T6).

import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { usageError } from "./cli-error.ts";
import { ageText, aheadText, parseDurationMs } from "./duration-text.ts";

export type Expiry =
  | { readonly case: "expiresInDays"; readonly value: number }
  | { readonly case: "neverExpires"; readonly value: true };

const dayMs = 86_400_000;
const mostDays = 3_650;

export function parseExpiry(text: string | undefined): Expiry {
  const hint = "state it in days, like --expires 30d, or --expires never";
  if (text === undefined) throw usageError("--expires is missing", hint);
  if (text === "never") return { case: "neverExpires", value: true };
  const days = parseDurationMs(text, "--expires") / dayMs;
  if (!Number.isInteger(days) || days < 1 || days > mostDays) {
    throw usageError(
      `--expires: ${text} is not a whole number of days from 1d to ${mostDays}d`,
      hint,
    );
  }
  return { case: "expiresInDays", value: days };
}

interface Credential {
  readonly expiresAt?: Timestamp | undefined;
  readonly revokedAt?: Timestamp | undefined;
}

export function credentialState(each: Credential, nowMs: number): string {
  if (each.revokedAt !== undefined) return "revoked";
  return isPast(each.expiresAt, nowMs) ? "expired" : "live";
}

/** "never", "in 29d", "2h ago". */
export function expiryText(each: Credential, nowMs: number): string {
  if (each.expiresAt === undefined) return "never";
  const leftMs = timestampMs(each.expiresAt) - nowMs;
  return leftMs > 0 ? `in ${aheadText(leftMs)}` : `${ageText(-leftMs)} ago`;
}

function isPast(at: Timestamp | undefined, nowMs: number): boolean {
  return at !== undefined && timestampMs(at) <= nowMs;
}
