// SPDX-License-Identifier: Apache-2.0
// Schemas for the kinds of settings that processes have; each says what is wrong in words.

import * as z from "zod";
import { parseListenAddress } from "./listen-address.ts";
import { logLevels } from "./log.ts";
import { Secret } from "./secret.ts";

/** "127.0.0.1:8700". */
export const listenAddressSetting = z.string().transform((text, context) => {
  const address = parseListenAddress(text);
  if (address !== undefined) return address;
  context.addIssue({
    code: "custom",
    message: `${JSON.stringify(text)} is not host:port, for example 127.0.0.1:8700`,
  });
  return z.NEVER;
});

/** A duration: "250ms", "10s", "5m", "2h", or a number of milliseconds. Gives milliseconds. */
export const durationSetting = z.union([z.string(), z.number()]).transform((value, context) => {
  const ms = parseDurationMs(value);
  if (ms !== undefined) return ms;
  context.addIssue({
    code: "custom",
    message: `${JSON.stringify(value)} is not a duration, for example 250ms, 10s, 5m or 2h`,
  });
  return z.NEVER;
});

const unitMs: Readonly<Record<string, number>> = { "": 1, ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function parseDurationMs(value: string | number): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|)$/.exec(String(value).trim());
  if (match === null) return undefined;
  return Math.round(Number(match[1]) * (unitMs[match[2] ?? ""] ?? 1));
}

/** A whole number within bounds. */
export function integerSetting(least: number, most: number) {
  return z.union([z.string(), z.number()]).transform((value, context) => {
    const number = Number(value);
    if (
      String(value).trim() !== "" &&
      Number.isInteger(number) &&
      number >= least &&
      number <= most
    ) {
      return number;
    }
    context.addIssue({
      code: "custom",
      message: `${JSON.stringify(value)} is not a whole number from ${least} to ${most}`,
    });
    return z.NEVER;
  });
}

/** A list: "a,b,c", or a list in the file. Empty items are dropped. */
export const listSetting = z
  .union([z.string(), z.array(z.string())])
  .transform((value) =>
    (typeof value === "string" ? value.split(",") : value)
      .map((item) => item.trim())
      .filter((item) => item !== ""),
  );

/** Pairs: "zone=a,gpu=yes", or a map in the file. */
export const pairsSetting = z
  .union([z.string(), z.record(z.string(), z.coerce.string())])
  .transform((value, context) => {
    if (typeof value !== "string") return value;
    const pairs: Record<string, string> = {};
    for (const item of value.split(",").filter((part) => part.trim() !== "")) {
      const at = item.indexOf("=");
      if (at <= 0) {
        context.addIssue({ code: "custom", message: `${JSON.stringify(item)} is not key=value` });
        return z.NEVER;
      }
      pairs[item.slice(0, at).trim()] = item.slice(at + 1).trim();
    }
    return pairs;
  });

/** A switch: present as a flag, or "true" and "false". */
export const switchSetting = z
  .union([z.boolean(), z.string()])
  .transform((value, context) => {
    if (typeof value === "boolean") return value;
    if (["true", "1", "yes"].includes(value.toLowerCase())) return true;
    if (["false", "0", "no"].includes(value.toLowerCase())) return false;
    context.addIssue({ code: "custom", message: `${JSON.stringify(value)} is not true or false` });
    return z.NEVER;
  })
  .default(false);

export const logLevelSetting = z
  .string()
  .transform((text, context) => {
    const level = logLevels.find((candidate) => candidate === text);
    if (level !== undefined) return level;
    context.addIssue({
      code: "custom",
      message: `${JSON.stringify(text)} is not a log level; known are ${logLevels.join(", ")}`,
    });
    return z.NEVER;
  })
  .prefault("info");

/** A secret kept in memory: from the environment alone; a file is better. */
export const secretSetting = z.string().transform((text) => new Secret(text.trim()));
