// SPDX-License-Identifier: Apache-2.0
// Proves that docs/protocol.md is current and that no rule is without code or without a test.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { findRules, gaps, mark, pageFile, renderPage } from "./protocol.ts";

it("the page is what the code and the tests say; `pnpm docs:protocol` makes it anew", () => {
  expect(readFileSync(pageFile, "utf8")).toBe(renderPage());
});

it("every rule has code that names it and a test that carries its number", () => {
  expect(gaps(findRules())).toEqual([]);
});

it("a rule of another list that has the same number is none of these", () => {
  expect("of T1, kept (T1)".match(mark("T1"))).toHaveLength(2);
  expect("SEC-T1".match(mark("T1"))).toBeNull();
});
