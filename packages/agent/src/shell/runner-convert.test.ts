// SPDX-License-Identifier: Apache-2.0
// Proves that the conversions written by hand for speed say what the protobuf library says.

import { create, fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { OutcomeSchema, TaskSpecSchema } from "@remex/proto/common/v1";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { outcomeOf, runnerSaysOf, specJson } from "./runner-convert.ts";

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const texts = fc.dictionary(text, text, { maxKeys: 3, noNullPrototype: true });
const duration = fc.integer({ min: 0, max: 10 ** 8 }).map((ms) => durationFromMs(ms));

const work = fc.oneof(
  fc.constant({ case: "noop", value: {} } as const),
  fc
    .record({ argv: fc.array(text), env: texts, cwd: text })
    .map((value) => ({ case: "command", value }) as const),
  fc
    .record({ workloadJson: text, workloadToken: text })
    .map((value) => ({ case: "airflow", value }) as const),
  fc
    .record({ secretPayload: fc.uint8Array({ maxLength: 20 }), url: text, headers: texts })
    .map(({ secretPayload, url, headers }) => {
      const trigger = { case: "http", value: { url, headers } } as const;
      const value = { runtime: "builtin", secretPayload, builtin: { trigger } };
      return { case: "trigger", value } as const;
    }),
);

describe("conversions to and from the runner's JSON", () => {
  it("a spec is the same message after the runner's JSON", () => {
    fc.assert(
      fc.property(
        fc.record(
          {
            queue: text,
            requiredLabels: texts,
            priority: fc.integer({ min: -100, max: 100 }),
            slotCost: fc.nat(1_000),
            onLost: fc.constantFrom(0, 1, 2),
            onCut: fc.constantFrom(0, 1, 2),
            lostAfter: duration,
            maxRetries: fc.nat(9),
            maxRecoveries: fc.nat(9),
            timeout: duration,
            annotations: texts,
            work,
          },
          { requiredKeys: [] },
        ),
        (init) => {
          const spec = create(TaskSpecSchema, init);
          const json = JSON.parse(JSON.stringify(specJson(spec))) as JsonValue;
          expect(fromJson(TaskSpecSchema, json)).toEqual(spec);
        },
      ),
    );
  });

  it("an outcome of the runner's JSON is what the library reads from it", () => {
    fc.assert(
      fc.property(
        fc.record(
          {
            kind: fc.integer({ min: 1, max: 5 }),
            reason: fc.nat(14),
            exitCode: fc.integer({ min: -1, max: 255 }),
            signal: text,
            message: text,
            result: fc.uint8Array({ maxLength: 40 }),
            runTime: duration,
            startedAt: fc.integer({ min: 0, max: 2 * 10 ** 12 }).map((ms) => timestampFromMs(ms)),
          },
          { requiredKeys: ["kind"] },
        ),
        (init) => {
          const outcome = create(OutcomeSchema, init);
          const read = outcomeOf(toJson(OutcomeSchema, outcome));
          expect({ ...read, result: [...read.result] }).toEqual({
            ...outcome,
            result: [...outcome.result],
          });
        },
      ),
    );
  });

  it("SEC-E2: a message that is too long is cut at a character's end", () => {
    const read = outcomeOf({ kind: "OUTCOME_KIND_FAILED", message: "\u00e4".repeat(2_000) });
    expect(Buffer.byteLength(read.message)).toBeLessThanOrEqual(1_024);
    expect(read.message).toMatch(/^\u00e4+$/);
  });

  it("a case of a newer contract is passed over", () => {
    expect(runnerSaysOf({ novelty: {} } as never)).toBeUndefined();
  });
});
