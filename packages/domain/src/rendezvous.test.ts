// SPDX-License-Identifier: Apache-2.0
// Proves that keys are spread evenly and that only the keys of a lost peer move.
import { describe, expect, it } from "vitest";
import { chooseByRendezvous } from "./rendezvous.ts";

const keys = Array.from({ length: 3_000 }, (_, index) => `dep/agent-${index}`);
const ids = ["registry-100-aaaaaa", "registry-101-bbbbbb", "registry-102-cccccc"];

describe("rendezvous hashing", () => {
  it("chooses nobody among none, and does not depend on the order", () => {
    expect(chooseByRendezvous("k", [])).toBeUndefined();
    for (const key of keys.slice(0, 100)) {
      expect(chooseByRendezvous(key, ids)).toBe(chooseByRendezvous(key, [...ids].reverse()));
    }
  });

  it("spreads keys evenly", () => {
    for (const id of ids) {
      const count = keys.filter((key) => chooseByRendezvous(key, ids) === id).length;
      expect(count).toBeGreaterThan(800);
      expect(count).toBeLessThan(1_200);
    }
  });

  it("moves only the keys of a peer that is gone", () => {
    const [gone = "", ...left] = ids;
    for (const key of keys) {
      const before = chooseByRendezvous(key, ids);
      if (before !== gone) expect(chooseByRendezvous(key, left)).toBe(before);
    }
  });
});
