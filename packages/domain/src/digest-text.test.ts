// SPDX-License-Identifier: Apache-2.0
// Proves the byte-exact texts behind the digests, against literals that any other agent can check.

import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inventoryDigestText, reportDigestBytes } from "./digest-text.ts";

const sha256 = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex");

describe("PROTOCOL-S6: the inventory's digest", () => {
  const started = {
    task: "t_b",
    attempt: { epoch: 1_794_000_000, number: 12 },
    state: "ATTEMPT_STATE_STARTED",
  };
  const accepted = {
    task: "t_a",
    attempt: { epoch: 1_794_000_000, number: 9 },
    state: "ATTEMPT_STATE_ACCEPTED",
  };

  test("is made of one line per entry, sorted by task", () => {
    expect(inventoryDigestText([started, accepted])).toBe(
      "t_a|1794000000.9|ATTEMPT_STATE_ACCEPTED\nt_b|1794000000.12|ATTEMPT_STATE_STARTED\n",
    );
  });

  test("of an empty inventory is the digest of nothing", () => {
    expect(inventoryDigestText([])).toBe("");
    expect(sha256(inventoryDigestText([]))).toBe(
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    );
  });

  test("does not depend on the order of the entries", () => {
    const entries = fc.array(
      fc.record({
        task: fc.stringMatching(/^t_[a-z2-7]{2}$/),
        attempt: fc.record({ epoch: fc.nat(9), number: fc.nat(20) }),
        state: fc.constantFrom("ATTEMPT_STATE_ACCEPTED", "ATTEMPT_STATE_ENDED"),
      }),
    );
    fc.assert(
      fc.property(entries, fc.nat(), (list, turn) => {
        const at = list.length === 0 ? 0 : turn % list.length;
        const turned = [...list.slice(at), ...list.slice(0, at)];
        expect(inventoryDigestText(turned)).toBe(inventoryDigestText(list));
      }),
    );
  });
});

describe("PROTOCOL-C2: the report's digest", () => {
  test("is made of kind, reason, exit code, signal, message and the result's bytes", () => {
    const bytes = reportDigestBytes({
      kind: "OUTCOME_KIND_FAILED",
      reason: "OUTCOME_REASON_EXIT_CODE",
      exitCode: 3,
      signal: "",
      message: "größer",
      result: new Uint8Array([0, 255, 10]),
    });
    const head = Buffer.from(
      "OUTCOME_KIND_FAILED\nOUTCOME_REASON_EXIT_CODE\n3\n\ngrößer\n",
      "utf8",
    );
    expect(Buffer.from(bytes)).toEqual(Buffer.concat([head, Buffer.from([0, 255, 10])]));
  });

  test("leaves the line of an absent exit code empty", () => {
    const bytes = reportDigestBytes({
      kind: "OUTCOME_KIND_ABORTED",
      reason: "OUTCOME_REASON_SIGNAL",
      exitCode: undefined,
      signal: "SIGKILL",
      message: "",
      result: new Uint8Array(),
    });
    expect(Buffer.from(bytes).toString()).toBe(
      "OUTCOME_KIND_ABORTED\nOUTCOME_REASON_SIGNAL\n\nSIGKILL\n\n",
    );
  });
});
