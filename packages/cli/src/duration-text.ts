// SPDX-License-Identifier: Apache-2.0
// Durations and sizes as people write them on a command line, and ages as they read them in a table.

import { usageError } from "./cli-error.ts";

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Parses "10s", "500ms", "24h", "1h30m", "30d"; `name` is the option, for the error. */
export function parseDurationMs(text: string, name: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  const whole = parts.map(([part]) => part).join("");
  if (parts.length === 0 || whole !== text) {
    throw usageError(
      `${name}: ${JSON.stringify(text)} is not a duration`,
      "write it like 500ms, 10s, 5m, 24h, 30d or 1h30m",
    );
  }
  const ms = parts.reduce(
    (sum, [, number, unit]) => sum + Number(number) * (unitMs[unit ?? ""] ?? 0),
    0,
  );
  return Math.round(ms);
}

/** The contract's longest duration stands for never. */
const neverMs = 315_576_000_000_000;

/** As `parseDurationMs`, and "never". */
export function parseLostAfterMs(text: string, name: string): number {
  return text === "never" ? neverMs : parseDurationMs(text, name);
}

/** What `parseLostAfterMs` reads, exactly. */
export function lostAfterText(ms: number): string {
  return ms >= neverMs ? "never" : durationText(ms);
}

const unitBytes: Readonly<Record<string, number>> = { "": 1, KiB: 1_024, MiB: 1_048_576 };

/** Parses "262144", "256KiB", "1MiB". */
export function parseBytes(text: string, name: string): number {
  const match = /^(\d+)(KiB|MiB)?$/.exec(text);
  if (match === null) {
    throw usageError(
      `${name}: ${JSON.stringify(text)} is not a size`,
      "write it like 262144, 256KiB or 1MiB",
    );
  }
  return Number(match[1]) * (unitBytes[match[2] ?? ""] ?? 1);
}

/** Parses a whole number from `min` to `max`. */
export function parseCount(text: string, name: string, min: number, max: number): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || value < min || value > max) {
    throw usageError(
      `${name}: ${JSON.stringify(text)} is not a whole number from ${min} to ${max}`,
    );
  }
  return value;
}

const wholeUnits = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
] as const;

/** One unit is enough for an age: "12s", "3m", "2h", "5d"; below a second "0s". */
export function ageText(ms: number): string {
  for (const [unit, size] of wholeUnits) {
    if (ms >= size) return `${Math.floor(ms / size)}${unit}`;
  }
  return "0s";
}

/** What is left, rounded to the nearest: a token made for 30 days a moment ago has "30d" left. */
export function aheadText(ms: number): string {
  for (const [unit, size] of wholeUnits) {
    if (ms >= size) return `${Math.round(ms / size)}${unit}`;
  }
  return "0s";
}

/** A set or measured duration, exactly: "10s", "1h30m", "250ms", "1.5s" below a minute. */
export function durationText(ms: number): string {
  if (ms === 0) return "0s";
  if (ms < 1_000) return `${Math.round(ms)}ms`;
  if (ms < 60_000) return `${Number((ms / 1_000).toFixed(1))}s`;
  let left = Math.round(ms / 1_000) * 1_000;
  let text = "";
  for (const [unit, size] of wholeUnits) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) text += `${count}${unit}`;
  }
  return text;
}
