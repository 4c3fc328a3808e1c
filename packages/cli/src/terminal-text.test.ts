// SPDX-License-Identifier: Apache-2.0
// Proves that no untrusted text can steer a terminal, and that programs read it back as it was.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { formatAnswer } from "./answer.ts";
import { factTable, listTable } from "./table.ts";
import { logText, oneLine } from "./terminal-text.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: it is their absence that is tested.
const control = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/;

/** Text with many characters of the kinds that matter. */
const nasty = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom(
        "\u001b[2J",
        "\u009b31m",
        "\r",
        "\n",
        "\t",
        "\u202e",
        "\u2066",
        "\u0007",
        "é",
      ),
    ),
  )
  .map((parts) => parts.join(""));

describe("SEC-E2: untrusted text", () => {
  test("in a line keeps to its line and holds no control character", () => {
    fc.assert(
      fc.property(nasty, (text) => {
        expect(oneLine(text)).not.toMatch(control);
      }),
    );
  });

  test("in a log keeps its lines and tabs and nothing else", () => {
    fc.assert(
      fc.property(nasty, (text) => {
        expect(logText(text).replace(/[\n\t]/g, "")).not.toMatch(control);
      }),
    );
  });

  test("in a table adds no row and no control character", () => {
    fc.assert(
      fc.property(nasty, (text) => {
        const list = listTable([{ heading: "A", cell: (each: string) => each }], [text]);
        expect(list.split("\n")).toHaveLength(3);
        expect(list.replaceAll("\n", "")).not.toMatch(control);
        expect(factTable([["A", text || "-"]]).split("\n")).toHaveLength(2);
      }),
    );
  });

  test("in JSON and YAML is escaped and read back as it was", () => {
    fc.assert(
      fc.property(nasty, (text) => {
        const answer = { data: () => ({ text, list: [text] }), table: () => "" };
        const json = formatAnswer(answer, "json");
        expect(json.replaceAll("\n", "")).not.toMatch(control);
        expect(JSON.parse(json)).toEqual(answer.data());
        const yaml = formatAnswer(answer, "yaml");
        expect(yaml.replaceAll("\n", "")).not.toMatch(control);
        expect(parse(yaml)).toEqual(answer.data());
      }),
    );
  });
});

test("carriage returns before the end of a line are dropped from logs, others are shown", () => {
  expect(logText("a\r\nb\rc")).toBe("a\nb\\rc");
});

test("a long cell is cut, a fact is not", () => {
  const text = "x".repeat(100);
  expect(listTable([{ heading: "A", cell: () => text }], [0])).toContain(`${"x".repeat(57)}...`);
  expect(factTable([["A", text]])).toContain(text);
});
