// SPDX-License-Identifier: Apache-2.0
// Proves that frames survive any cutting of the byte stream, and that what breaks the contract is refused.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { agentEventsOf, attemptNameOf, refOfJson } from "./frame-check.ts";
import { encodeFrame, encodeFrames, FrameReader, FramingError, maxFrameBytes } from "./framing.ts";
import { durationText, parseDurationText } from "./json-time.ts";

describe("frames of the runner contract", () => {
  it("come out as they went in, however the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1 }),
        (frames, cuts) => {
          const bytes = Buffer.concat(frames.map((frame) => encodeFrame(frame)));
          const reader = new FrameReader();
          const read: unknown[] = [];
          for (let from = 0, turn = 0; from < bytes.length; turn++) {
            const length = cuts[turn % cuts.length] ?? 1;
            read.push(...reader.push(bytes.subarray(from, from + length)));
            from += length;
          }
          expect(read).toEqual(JSON.parse(JSON.stringify(frames)));
        },
      ),
    );
  });

  it("SEC-L1: a length over the limit is refused before its bytes are awaited", () => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(maxFrameBytes + 1);
    expect(() => new FrameReader().push(head)).toThrow(FramingError);
  });

  it("that are no JSON are refused", () => {
    const frame = Buffer.from([0, 0, 0, 2, 0x7b, 0x7b]);
    expect(() => new FrameReader().push(frame)).toThrow("a frame is not JSON");
  });

  it("are split when many events would pass the limit, in order", () => {
    const text = "x".repeat(maxFrameBytes / 4);
    const events = Array.from({ length: 9 }, (_, number) => ({ ready: { note: text, number } }));
    const frames = encodeFrames(events);
    expect(frames.length).toBeGreaterThan(1);
    const read = new FrameReader().push(Buffer.concat(frames)) as { events: unknown[] }[];
    expect(read.flatMap((frame) => frame.events)).toEqual(events);
  });
});

describe("what came over the runner's socket", () => {
  it.each([
    ["a text", "hello"],
    ["a list", []],
    ["events that are no list", { events: {} }],
    ["an event that is no object", { events: [1] }],
    ["a body that is no object", { events: [{ stop: 3 }] }],
  ])("is refused when it is %s", (_, frame) => {
    expect(() => agentEventsOf(frame)).toThrow(FramingError);
  });

  it("is taken when a case is not known, so that a newer peer can be spoken with", () => {
    expect(agentEventsOf({ events: [{ novelty: {} }], more: 1 })).toHaveLength(1);
  });

  it("names attempts by texts of 64-bit numbers", () => {
    const name = attemptNameOf({ task: "t_a", attempt: { epoch: "1794000000", number: "7" } });
    expect(name).toEqual({ task: "t_a", attempt: { epoch: 1_794_000_000, number: 7 } });
  });

  it.each(["../../etc", "a/b", "", ".", "a\0b"])("cannot name a file outside: %j", (task) => {
    expect(() => attemptNameOf({ task, attempt: { epoch: "1", number: "1" } })).toThrow(
      FramingError,
    );
  });

  it("gives no number for what is none", () => {
    expect(refOfJson(undefined)).toBeUndefined();
    expect(refOfJson({ epoch: "x", number: "1" })).toBeUndefined();
  });
});

describe("durations in JSON", () => {
  it("are read as they were written, in milliseconds", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10 ** 9 }), (ms) => {
        expect(parseDurationText(durationText(ms))).toBe(ms);
      }),
    );
  });

  it.each([
    ["1.5s", 1_500],
    ["0.000500s", 0.5],
    ["-2s", -2_000],
    ["3", undefined],
    ["s", undefined],
    [undefined, undefined],
  ])("%s is %s ms", (text, ms) => {
    expect(parseDurationText(text)).toBe(ms);
  });
});
