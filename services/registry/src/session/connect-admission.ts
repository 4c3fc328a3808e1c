// SPDX-License-Identifier: Apache-2.0
// Decides how many agents may connect in a moment (PROTOCOL L6): a bucket of tokens, filled steadily.

/** Connects per second that a registry takes when nothing else is set. */
export const defaultConnectsPerSecond = 200;

/** The bucket. */
export interface ConnectBucket {
  readonly tokens: number;
  readonly filledAtMs: number;
}

/** What a connect is answered. */
export type ConnectDecision =
  | { readonly kind: "admitted"; readonly bucket: ConnectBucket }
  | { readonly kind: "full"; readonly retryAfterMs: number };

/** A full bucket. */
export function fullBucket(perSecond: number, nowMs: number): ConnectBucket {
  return { tokens: perSecond, filledAtMs: nowMs };
}

/**
 * Takes one token, or says when to come back: after the time to fill the bucket for one more, spread
 * by `spread` (0 to 1) over a second so that a crowd does not return at one moment.
 */
export function decideConnect(
  bucket: ConnectBucket,
  perSecond: number,
  nowMs: number,
  spread: number,
): ConnectDecision {
  const filled = bucket.tokens + ((nowMs - bucket.filledAtMs) * perSecond) / 1_000;
  const tokens = Math.min(perSecond, filled);
  if (tokens >= 1) return { kind: "admitted", bucket: { tokens: tokens - 1, filledAtMs: nowMs } };
  const untilOneMs = ((1 - tokens) * 1_000) / perSecond;
  return { kind: "full", retryAfterMs: Math.ceil(untilOneMs + spread * 1_000) };
}
