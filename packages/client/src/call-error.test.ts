// SPDX-License-Identifier: Apache-2.0
// Proves that whatever a call throws becomes one readable error with a stable code.

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorDetailSchema } from "@remex/proto/common/v1";
import { expect, test } from "vitest";
import { callErrorOf, failureOfDetail } from "./call-error.ts";

function detailed(code: Code): ConnectError {
  const value = {
    code: "tasks_limit",
    message: "deployment a has 5 queued tasks, its limit",
    retryable: true,
    retryAfter: durationFromMs(1_500),
    facts: { deployment: "a", limit: "5" },
  };
  return new ConnectError("shorter", code, undefined, [{ desc: ErrorDetailSchema, value }]);
}

test("the detail of a service is what the caller reads", () => {
  const cause = detailed(Code.ResourceExhausted);
  const error = callErrorOf(cause);
  expect(error).toMatchObject({
    code: "tasks_limit",
    connectCode: Code.ResourceExhausted,
    message: "deployment a has 5 queued tasks, its limit",
    retryable: true,
    retryAfterMs: 1_500,
    facts: { deployment: "a", limit: "5" },
  });
  expect(error.cause).toBe(cause);
});

test("an error is read once: what is readable already is passed on", () => {
  const error = callErrorOf(detailed(Code.ResourceExhausted));
  expect(callErrorOf(error)).toBe(error);
});

test("the refusal of a batch's item has the same shape", () => {
  const [detail] = detailed(Code.Unknown).findDetails(ErrorDetailSchema);
  if (detail === undefined) throw new Error("the test's error has no detail");
  expect(failureOfDetail(detail)).toMatchObject({
    code: "tasks_limit",
    connectCode: Code.FailedPrecondition,
    retryAfterMs: 1_500,
  });
});

const refused = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), {
  code: "ECONNREFUSED",
});

test.each([
  ["a refused connection", refused, "gateway_unreachable", true],
  ["a browser's failed fetch", new TypeError("Failed to fetch"), "gateway_unreachable", true],
  [
    "a proxy without a gateway",
    new ConnectError("503", Code.Unavailable),
    "gateway_unreachable",
    true,
  ],
  ["a deadline", new ConnectError("late", Code.DeadlineExceeded), "call_timeout", true],
  ["the caller's own abort", new ConnectError("gone", Code.Canceled), "call_canceled", false],
  ["another server", new ConnectError("HTTP 404", Code.Unimplemented), "call_failed", false],
  ["a plain fault", new Error("boom"), "call_failed", false],
])("%s is told apart without a detail", (_, thrown, code, retryable) => {
  const connectError = ConnectError.from(thrown);
  if (connectError !== thrown) connectError.cause = thrown;
  expect(callErrorOf(connectError)).toMatchObject({ code, retryable });
});
