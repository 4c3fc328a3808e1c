// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { pageFile, renderPage } from "./requirements.ts";

test("docs/requirements.md is what the titles of the tests say", () => {
  expect(readFileSync(pageFile, "utf8")).toBe(renderPage());
});
