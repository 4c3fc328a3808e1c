// SPDX-License-Identifier: Apache-2.0
// Durations of the contracts as milliseconds: no decision rests on an instant of another machine (T1).

import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";

/** Milliseconds; undefined when absent. */
export function durationMsOf(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : durationMs(duration);
}
