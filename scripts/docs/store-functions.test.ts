// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { pageFile, renderPage } from "./store-functions.ts";

test("PROTOCOL-D5: docs/store-functions.md is what the functions say of themselves", () => {
  expect(readFileSync(pageFile, "utf8")).toBe(renderPage());
});
