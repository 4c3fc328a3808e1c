// SPDX-License-Identifier: Apache-2.0
// Proves that epoch and number survive their text and wire forms and are ordered by epoch first.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compareRefs,
  formatRef,
  parseRef,
  refFromWire,
  refToWire,
  requireRef,
  sameRef,
} from "./numbered-ref.ts";

const whole = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const ref = fc.record({ epoch: whole, number: whole });

describe("PROTOCOL-I9: sessions and attempts", () => {
  test("are read back from their text as they were", () => {
    fc.assert(
      fc.property(ref, (value) => {
        expect(parseRef(formatRef(value))).toEqual(value);
      }),
    );
    expect(formatRef({ epoch: 1_794_000_000, number: 7 })).toBe("1794000000.7");
  });

  test.each(["", "1", "1.", ".1", "1.2.3", "01.2", "1.-2", "1.2 ", "9007199254740993.1", "a.b"])(
    "%j is none",
    (text) => {
      expect(parseRef(text)).toBeUndefined();
      expect(() => requireRef(text)).toThrow(RangeError);
    },
  );

  test("are read back from the wire as they were, number 0 meaning none", () => {
    fc.assert(
      fc.property(ref, (value) => {
        const back = refFromWire(refToWire(value));
        expect(back).toEqual(value.number === 0 ? undefined : value);
      }),
    );
    expect(refFromWire(undefined)).toBeUndefined();
    expect(refFromWire({ epoch: 1n, number: 2n ** 60n })).toBeUndefined();
  });

  test("are ordered by epoch, then by number", () => {
    fc.assert(
      fc.property(ref, ref, (left, right) => {
        const order = Math.sign(compareRefs(left, right));
        const expected =
          left.epoch === right.epoch
            ? Math.sign(left.number - right.number)
            : Math.sign(left.epoch - right.epoch);
        expect(order).toBe(expected);
        expect(sameRef(left, right)).toBe(order === 0);
      }),
    );
    expect(sameRef(undefined, undefined)).toBe(true);
    expect(sameRef({ epoch: 1, number: 1 }, undefined)).toBe(false);
  });
});
