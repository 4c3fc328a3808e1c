// SPDX-License-Identifier: Apache-2.0
// Instants and durations of the contract as tables show them.

import { type Duration, durationMs, type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { ageText, aheadText, durationText, lostAfterText } from "./duration-text.ts";

/** How long ago, in one unit; empty when it did not happen. Clocks that differ show as "0s". */
export function ageOf(at: Timestamp | undefined, nowMs: number): string {
  return at === undefined ? "" : ageText(Math.max(0, nowMs - timestampMs(at)));
}

/** "2026-03-01T10:00:00Z (3m ago)"; undefined when it did not happen. */
export function momentOf(at: Timestamp | undefined, nowMs: number): string | undefined {
  if (at === undefined) return undefined;
  const iso = new Date(timestampMs(at)).toISOString().replace(/\.\d+Z$/, "Z");
  const aheadMs = timestampMs(at) - nowMs;
  return aheadMs > 0 ? `${iso} (in ${aheadText(aheadMs)})` : `${iso} (${ageText(-aheadMs)} ago)`;
}

/** The time between two instants of one clock, or since the first one. */
export function spanOf(
  from: Timestamp | undefined,
  to: Timestamp | undefined,
  nowMs: number,
): string {
  if (from === undefined) return "";
  const endMs = to === undefined ? nowMs : timestampMs(to);
  return durationText(Math.max(0, endMs - timestampMs(from)));
}

export function durationOf(duration: Duration | undefined): string {
  return duration === undefined ? "" : durationText(durationMs(duration));
}

/** As `durationOf`, and "never". */
export function lostAfterOf(duration: Duration | undefined): string {
  return duration === undefined ? "" : lostAfterText(durationMs(duration));
}

/** An age that the service measured, in one unit. */
export function ageOfDuration(age: Duration | undefined): string {
  return ageText(age === undefined ? 0 : Math.max(0, durationMs(age)));
}
