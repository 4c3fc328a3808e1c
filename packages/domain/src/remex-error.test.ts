// SPDX-License-Identifier: Apache-2.0
// Proves that the list of failures is uniform and that failures carry their facts.

import { describe, expect, test } from "vitest";
import { failures } from "./errors.ts";
import { failureOf, isRemexError, remexError } from "./remex-error.ts";

describe("the list of failures", () => {
  test.each(Object.entries(failures))("%s is named and worded as all others", (code, shape) => {
    expect(code).toMatch(/^[a-z]+(?:_[a-z]+)*$/);
    expect(shape.message).toMatch(/^[a-z{]/);
    expect(shape.message).not.toMatch(/[.!]$/);
  });

  test("what can be retried is answered with a code that clients retry, or says when it ends", () => {
    const retryable = Object.values(failures).filter((shape) => shape.retryable);
    for (const shape of retryable) {
      expect([
        "unavailable",
        "resource_exhausted",
        "deadline_exceeded",
        "failed_precondition",
        "already_exists",
      ]).toContain(shape.connect);
    }
  });
});

describe("failureOf", () => {
  test("fills every fact into the message and keeps it as text", () => {
    const failure = failureOf("token_limit", { deployment: "acme", limit: 50 });
    expect(failure).toEqual({
      code: "token_limit",
      connectCode: "resource_exhausted",
      message: "deployment acme has 50 live agent tokens, its limit; revoke one or raise the limit",
      retryable: false,
      facts: { deployment: "acme", limit: "50" },
    });
  });

  test("keeps how long to wait, and further facts that the message does not name", () => {
    const failure = failureOf(
      "admission_full",
      { limit: 200 },
      { retryAfterMs: 750, moreFacts: { registry: "r-1" } },
    );
    expect(failure.retryAfterMs).toBe(750);
    expect(failure.facts).toEqual({ limit: "200", registry: "r-1" });
  });

  test("a fact that looks like a place for another fact is left alone", () => {
    const failure = failureOf("queue_unknown", { queue: "{deployment}", deployment: "acme" });
    expect(failure.message).toContain("there is no queue {deployment} in deployment acme");
  });

  test("a fact of any length makes a message of bounded length", () => {
    const failure = failureOf("argument_invalid", { field: "f", problem: "x".repeat(100_000) });
    expect(failure.message.length).toBeLessThan(400);
  });
});

describe("RemexError", () => {
  test("keeps its cause and is told apart by its code", () => {
    const cause = new Error("ECONNREFUSED");
    const error = remexError("store_unavailable", {}, { cause });
    expect(error.cause).toBe(cause);
    expect(error.retryable).toBe(true);
    expect(isRemexError(error)).toBe(true);
    expect(isRemexError(error, "store_unavailable", "records_unavailable")).toBe(true);
    expect(isRemexError(error, "internal")).toBe(false);
    expect(isRemexError(cause)).toBe(false);
  });
});
