// SPDX-License-Identifier: Apache-2.0
// The options of `npm start`, as a person types them.

import path from "node:path";
import { expect, test } from "vitest";
import { parseOptions } from "./options.ts";

test("without options everything runs, with Airflow, and stays", () => {
  const options = parseOptions([]);
  expect(options).toMatchObject({ once: false, withAirflow: true, clean: false, help: false });
  expect(path.basename(options.dataDir)).toBe("start");
});

test("each option is understood", () => {
  const options = parseOptions([
    "--once",
    "--without-airflow",
    "--data-dir",
    "/d",
    "--summary-file",
    "/s",
  ]);
  expect(options).toMatchObject({
    once: true,
    withAirflow: false,
    dataDir: "/d",
    summaryFile: "/s",
  });
});

test("an unknown option is refused with where to look", () => {
  expect(() => parseOptions(["--twice"])).toThrow(/--twice.*npm start -- --help/s);
});
