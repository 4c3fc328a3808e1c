// SPDX-License-Identifier: Apache-2.0
// Every failure of a call as one error with a stable code, read from the detail that the service sent.

import { durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { type ErrorDetail, ErrorDetailSchema } from "@remex/proto/common/v1";

/** What a failed call is known by. */
export interface CallFailure {
  /** Stable code, for example "queue_unknown"; the codes below are made on this side. */
  readonly code: string;
  readonly connectCode: Code;
  /** What went wrong and what to do about it, in lower case. */
  readonly message: string;
  /** True when the same call may succeed later without being changed. */
  readonly retryable: boolean;
  /** Absent when the caller chooses how long to wait. */
  readonly retryAfterMs?: number;
  /** The things that the message names, by field name. */
  readonly facts: Readonly<Record<string, string>>;
}

/** No answer of a gateway came: refused, unknown host, broken connection, or a proxy's error. */
export const unreachableCode = "gateway_unreachable";
/** No answer came in time; whether the call took effect is unknown. */
export const timeoutCode = "call_timeout";
/** The caller ended the call. */
export const canceledCode = "call_canceled";
/** An answer that states no code of Remex. */
export const unexplainedCode = "call_failed";
/** The caller's operator key cannot be sent at all. */
export const keyUnusableCode = "key_unusable";

export class RemexCallError extends Error implements CallFailure {
  override readonly name = "RemexCallError";
  readonly code: string;
  readonly connectCode: Code;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
  readonly facts: Readonly<Record<string, string>>;

  constructor(failure: CallFailure, options?: { readonly cause?: unknown }) {
    super(failure.message, options);
    this.code = failure.code;
    this.connectCode = failure.connectCode;
    this.retryable = failure.retryable;
    if (failure.retryAfterMs !== undefined) this.retryAfterMs = failure.retryAfterMs;
    this.facts = failure.facts;
  }
}

/** Reads whatever a call threw; `cause` keeps it. */
export function callErrorOf(error: unknown): RemexCallError {
  if (error instanceof RemexCallError) return error;
  const connectError = ConnectError.from(error);
  const [detail] = connectError.findDetails(ErrorDetailSchema);
  const failure =
    detail === undefined || detail.code === ""
      ? failureWithoutDetail(connectError)
      : failureOfDetail(detail, connectError.code);
  return new RemexCallError(failure, { cause: error });
}

/** The refusal of one item of a batch, in the same shape as that of a whole call. */
export function failureOfDetail(
  detail: ErrorDetail,
  connectCode: Code = Code.FailedPrecondition,
): CallFailure {
  return {
    code: detail.code,
    connectCode,
    message: detail.message,
    retryable: detail.retryable,
    ...(detail.retryAfter === undefined ? {} : { retryAfterMs: durationMs(detail.retryAfter) }),
    facts: detail.facts,
  };
}

/** An error without a detail comes from below Remex: the network, a proxy, a deadline, a size limit. */
function failureWithoutDetail(error: ConnectError): CallFailure {
  const problem = error.rawMessage;
  const made = (code: string, message: string, retryable: boolean): CallFailure => ({
    code,
    connectCode: error.code,
    message,
    retryable,
    facts: { problem },
  });
  switch (error.code) {
    case Code.Canceled:
      return made(canceledCode, "the call was ended by the caller", false);
    case Code.DeadlineExceeded:
      return made(
        timeoutCode,
        "no answer came in time; whether the call took effect is unknown",
        true,
      );
    default:
      return error.code === Code.Unavailable || isNetworkTrouble(error)
        ? made(unreachableCode, `the gateway cannot be reached: ${problem}`, true)
        : made(unexplainedCode, `the call failed: ${problem}`, false);
  }
}

/** System errors of Node carry a `code` in text; a browser's fetch says TypeError and nothing more. */
function isNetworkTrouble(error: ConnectError): boolean {
  const seen = new Set<unknown>();
  for (let cause = error.cause; cause instanceof Error && !seen.has(cause); cause = cause.cause) {
    seen.add(cause);
    if ("code" in cause && typeof cause.code === "string") return true;
    if (cause instanceof TypeError && /fetch|network|load failed/i.test(cause.message)) return true;
  }
  return false;
}
