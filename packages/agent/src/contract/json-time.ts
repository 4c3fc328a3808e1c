// SPDX-License-Identifier: Apache-2.0
// Durations and instants as proto3 JSON writes them: "1.500s" and RFC 3339.

const durationPattern = /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/;

/** The text of a duration; fractions below a millisecond are dropped. */
export function durationText(ms: number): string {
  const whole = Math.max(0, Math.floor(ms));
  const rest = whole % 1000;
  const seconds = (whole - rest) / 1000;
  return rest === 0 ? `${seconds}s` : `${seconds}.${String(rest).padStart(3, "0")}s`;
}

/** Milliseconds of a duration's text; undefined when it is absent or not one. */
export function parseDurationText(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const match = durationPattern.exec(text);
  if (match === null) return undefined;
  const nanos = Number((match[3] ?? "").padEnd(9, "0"));
  const ms = Number(match[2]) * 1000 + nanos / 1_000_000;
  return match[1] === "-" ? -ms : ms;
}

/** The text of an instant of the wall clock. */
export function timestampText(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
