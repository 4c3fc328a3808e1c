// SPDX-License-Identifier: Apache-2.0
// Proves how long versions are maintained.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { agentReleases, decideMaintenance } from "./agent-releases.ts";

const releases = { "1.4": "2026-11", "1.5": "2027-08" };
const at = (day: string) => Date.parse(`${day}T00:00:00Z`);
const until = at("2027-05-01");

describe("maintenance of a version", () => {
  it.each([
    ["R27: in its release month", "1.4.0", "2026-11-23", "MAINTAINED", until],
    ["R27: of a later patch, as its minor version", "1.4.17", "2027-03-31", "MAINTAINED", until],
    ["R27: near its end", "1.4.0", "2027-04-02", "ENDING", until],
    ["R27: on its last day", "1.4.0", "2027-04-30", "ENDING", until],
    ["R27: past its end", "1.4.0", "2027-05-01", "ENDED", until],
    ["R27: over the turn of a year", "1.5.0", "2028-02-01", "ENDED", at("2028-02-01")],
    ["R27: of one that is not listed", "1.6.0", "2027-05-01", "UNSPECIFIED", undefined],
    ["R27: of a text that is no version", "constructor", "2027-05-01", "UNSPECIFIED", undefined],
  ] as const)("%s", (_title, version, day, state, untilMs) => {
    expect(decideMaintenance(version, at(day), releases)).toEqual({
      state,
      ...(untilMs === undefined ? {} : { untilMs }),
    });
  });

  it("R27: this version has its release month", () => {
    const text = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
    const { version } = JSON.parse(text) as { version: string };
    expect(Object.keys(agentReleases)).toContain(version.split(".").slice(0, 2).join("."));
  });
});
