// SPDX-License-Identifier: Apache-2.0
// Finds jumps of the store's clock against the clock of the process that reads it (PROTOCOL T2).

/** One reading of the store's clock: it was taken between the sending of a call and its answer. */
export interface StoreClockReading {
  /** Redis TIME in ms. */
  readonly storeMs: number;
  /** When the call was sent and answered, by the caller's monotonic clock. */
  readonly sentAtMs: number;
  readonly answeredAtMs: number;
}

/**
 * How far the store's clock has moved beyond what can have passed between two readings: positive when
 * it went ahead, negative when it was set back, 0 when both clocks agree to within `allowedMs`.
 */
export function clockJumpMs(
  before: StoreClockReading,
  now: StoreClockReading,
  allowedMs: number,
): number {
  const moved = now.storeMs - before.storeMs;
  const most = now.answeredAtMs - before.sentAtMs;
  const least = now.sentAtMs - before.answeredAtMs;
  if (moved > most + allowedMs) return moved - most;
  if (moved < least - allowedMs) return moved - least;
  return 0;
}
