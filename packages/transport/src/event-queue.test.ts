// SPDX-License-Identifier: Apache-2.0
// Proves that frames keep the order, lose nothing and stay within their bounds.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EventQueue } from "./event-queue.ts";

const bounds = {
  maxQueuedEvents: 1_000,
  maxQueuedBytes: 100_000,
  maxFrameEvents: 10,
  maxFrameBytes: 4_000,
};

describe("EventQueue", () => {
  test("whatever is pushed comes out in order, in frames within their bounds", () => {
    const batches = fc.array(
      fc.record({ count: fc.integer({ min: 1, max: 25 }), bytes: fc.nat(6_000) }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(batches, (pushes) => {
        const queue = new EventQueue<{ n: number; bytes: number }>(bounds);
        let next = 0;
        for (const { count, bytes } of pushes) {
          const each = Math.max(256, bytes / count);
          const events = Array.from({ length: count }, () => ({ n: next++, bytes: each }));
          queue.push(events, bytes);
        }
        let seen = 0;
        while (queue.events > 0) {
          const frame = queue.takeFrame();
          expect(frame.length).toBeGreaterThan(0);
          expect(frame.length).toBeLessThanOrEqual(bounds.maxFrameEvents);
          const bytes = frame.reduce((sum, event) => sum + event.bytes, 0);
          if (frame.length > 1) expect(bytes).toBeLessThanOrEqual(bounds.maxFrameBytes + 1);
          for (const event of frame) expect(event.n).toBe(seen++);
        }
        expect(seen).toBe(next);
        expect(queue.bytes).toBe(0);
        expect(queue.takeFrame()).toEqual([]);
      }),
    );
  });

  test("says when more waits than its bounds allow, by count and by bytes", () => {
    const byCount = new EventQueue<number>({ ...bounds, maxQueuedEvents: 2 });
    expect(byCount.push([1, 2])).toBe(true);
    expect(byCount.push([3])).toBe(false);
    const byBytes = new EventQueue<number>({ ...bounds, maxQueuedBytes: 1_000 });
    expect(byBytes.push([1], 1_000)).toBe(true);
    expect(byBytes.push([2])).toBe(false);
  });
});
