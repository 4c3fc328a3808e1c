// SPDX-License-Identifier: Apache-2.0
// The protocol's models with small bounds: every verdict must be the one in the committed table.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { say } from "../launch/progress.mjs";
import { pageFile, renderPage } from "./page.ts";
import { readOutcome, runVariant, whatIsMissing } from "./spin.ts";
import { labelOf, readTable } from "./verdicts.ts";

const table = readTable();
const missing = whatIsMissing();

if (missing === undefined) {
  describe("models of the protocol", () => {
    const small = table.filter(({ size }) => size === "small");
    test.each(small.map((variant) => [labelOf(variant), variant.verdict, variant] as const))(
      "%s: %s",
      { timeout: 600_000 },
      async (_label, verdict, variant) => {
        expect((await runVariant(variant)).verdict).toBe(verdict);
      },
    );
  });
} else {
  say(`the models of the protocol are not run: ${missing}`);
  test.skip(`models of the protocol: ${missing}`, () => undefined);
}

test("docs/model/README.md shows the committed verdicts", () => {
  expect(readFileSync(pageFile, "utf8")).toBe(renderPage(table));
});

test("every model has a passing variant, a mutant and a witness", () => {
  for (const model of new Set(table.map((variant) => variant.model))) {
    const kinds = table.filter((variant) => variant.model === model).map(({ kind }) => kind);
    expect([model, new Set(kinds).size]).toEqual([model, 3]);
  }
});

test("a search that did not come to its end is not a pass", () => {
  const output = "pan: reached -DMEMLIM bound\nWarning: Search not completed\nerrors: 0";
  expect(readOutcome(output, 1).verdict).toContain("unfinished");
  expect(readOutcome("errors: 0\nstopped: out of time", 1).verdict).toBe("unfinished: out of time");
});

test("a broken assertion names its invariant", () => {
  const output = "pan:1: assertion violated ( !(x) ||(13==0)) (at depth 7)\nerrors: 1";
  expect(readOutcome(output, 1).verdict).toBe("I13");
});
