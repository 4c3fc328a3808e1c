// SPDX-License-Identifier: Apache-2.0
// Proves the bucket that connects are taken from.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideConnect, fullBucket } from "./connect-admission.ts";

describe("admission", () => {
  it("PROTOCOL-L6: takes a second's worth at once, then says when to come back", () => {
    let bucket = fullBucket(200, 0);
    for (let index = 0; index < 200; index += 1) {
      const decision = decideConnect(bucket, 200, 0, 0);
      if (decision.kind !== "admitted") throw new Error(`${index} was turned away`);
      bucket = decision.bucket;
    }
    expect(decideConnect(bucket, 200, 0, 0)).toEqual({ kind: "full", retryAfterMs: 5 });
    expect(decideConnect(bucket, 200, 0, 0.5)).toEqual({ kind: "full", retryAfterMs: 505 });
    expect(decideConnect(bucket, 200, 5, 0)).toMatchObject({ kind: "admitted" });
  });

  it("PROTOCOL-L6: never admits more than the rate and one bucket in any time", () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 400 });
    fc.assert(
      fc.property(gaps, fc.integer({ min: 1, max: 300 }), (waits, perSecond) => {
        let bucket = fullBucket(perSecond, 0);
        let now = 0;
        let admitted = 0;
        for (const wait of waits) {
          now += wait;
          const decision = decideConnect(bucket, perSecond, now, 0);
          if (decision.kind === "full") continue;
          bucket = decision.bucket;
          admitted += 1;
        }
        expect(admitted).toBeLessThanOrEqual(perSecond + (now * perSecond) / 1_000 + 1e-6);
      }),
    );
  });
});
