// SPDX-License-Identifier: Apache-2.0
// How long the minor versions of the agent's software are maintained (R27).

/** Release month of every minor version, as "year-month". A release adds its own line here. */
export const agentReleases: Readonly<Record<string, string>> = {
  "0.1": "2026-11",
};

const maintainedMonths = 6;
/** How long before its end a version is shown as near to it. */
const warnMs = 30 * 24 * 3_600_000;

/** The words in the order of the numbers in the contract. */
export const maintenanceStates = ["UNSPECIFIED", "MAINTAINED", "ENDING", "ENDED"] as const;

/** How a version stands; `untilMs` is the first instant at which it is not maintained any more. */
export type MaintenanceDecision =
  | { readonly state: "UNSPECIFIED" }
  | { readonly state: "MAINTAINED" | "ENDING" | "ENDED"; readonly untilMs: number };

/**
 * Judges a version ("0.1.3"): its minor version is maintained in its release month and up to the same
 * month, half a year on: one that was released in November is maintained until the first of May.
 */
export function decideMaintenance(
  version: string,
  nowMs: number,
  releases: Readonly<Record<string, string>> = agentReleases,
): MaintenanceDecision {
  const minor = /^(\d+\.\d+)\.\d+/.exec(version)?.[1];
  const month = minor !== undefined && Object.hasOwn(releases, minor) ? releases[minor] : undefined;
  const [, year, number] = /^(\d{4})-(\d{2})$/.exec(month ?? "") ?? [];
  if (year === undefined || number === undefined) return { state: "UNSPECIFIED" };
  const untilMs = Date.UTC(Number(year), Number(number) - 1 + maintainedMonths, 1);
  if (nowMs >= untilMs) return { state: "ENDED", untilMs };
  return { state: nowMs >= untilMs - warnMs ? "ENDING" : "MAINTAINED", untilMs };
}
