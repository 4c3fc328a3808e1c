// SPDX-License-Identifier: Apache-2.0
// Proves that the words of outcomes are those of the contract, in its order.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  outcomeKindName,
  outcomeKindOf,
  outcomeKinds,
  outcomeReasonName,
  outcomeReasonOf,
  outcomeReasons,
  reasonWord,
} from "./outcomes.ts";

const contract = readFileSync(
  new URL("../../../proto/remex/common/v1/work.proto", import.meta.url),
  "utf8",
);

function wordsOf(prefix: string): string[] {
  const words: string[] = [];
  for (const match of contract.matchAll(new RegExp(`^  ${prefix}_(\\w+) = (\\d+);`, "gm"))) {
    words[Number(match[2])] = match[1] ?? "";
  }
  return words;
}

describe("outcomes", () => {
  test("kinds and reasons are those of the contract, at their numbers", () => {
    expect(wordsOf("OUTCOME_KIND")).toEqual([...outcomeKinds]);
    expect(wordsOf("OUTCOME_REASON")).toEqual([...outcomeReasons]);
  });

  test("numbers of a newer contract are not mistaken for known ones", () => {
    expect(outcomeKindOf(0)).toBeUndefined();
    expect(outcomeKindOf(99)).toBeUndefined();
    expect(outcomeReasonOf(99)).toBe("UNSPECIFIED");
    expect(outcomeKindName(1)).toBe("OUTCOME_KIND_SUCCEEDED");
    expect(outcomeReasonName(1)).toBe("OUTCOME_REASON_EXIT_CODE");
  });

  test("the word for people is the reason in lower case", () => {
    expect(reasonWord("EXIT_CODE")).toBe("exit_code");
    expect(reasonWord("UNSPECIFIED")).toBe("");
  });
});
