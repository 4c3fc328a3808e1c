// SPDX-License-Identifier: Apache-2.0
// Failures of Remex as Connect errors and back; the stable code travels in an ErrorDetail.

import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { codeFromString, codeToString } from "@connectrpc/connect/protocol-connect";
import { type ConnectCodeName, type Failure, failureOf, RemexError } from "@remex/domain";
import { type ErrorDetail, ErrorDetailSchema } from "@remex/proto/common/v1";

/** The detail that carries a failure; also used inside batch answers that refuse one item. */
export function errorDetailOf(failure: Failure): Omit<ErrorDetail, "$typeName" | "$unknown"> {
  return {
    code: failure.code,
    message: failure.message,
    retryable: failure.retryable,
    ...(failure.retryAfterMs === undefined
      ? {}
      : { retryAfter: durationFromMs(failure.retryAfterMs) }),
    facts: { ...failure.facts },
  };
}

/** The failure that a detail carries. */
export function failureFromDetail(detail: ErrorDetail, connectCode: ConnectCodeName): Failure {
  return {
    code: detail.code,
    connectCode,
    message: detail.message,
    retryable: detail.retryable,
    ...(detail.retryAfter === undefined ? {} : { retryAfterMs: durationMs(detail.retryAfter) }),
    facts: detail.facts,
  };
}

/** The Connect error that a caller is answered with. The cause stays in this process. */
export function connectErrorOf(failure: Failure, cause?: unknown): ConnectError {
  return new ConnectError(
    failure.message,
    codeFromString(failure.connectCode) ?? Code.Unknown,
    undefined,
    [{ desc: ErrorDetailSchema, value: errorDetailOf(failure) }],
    cause,
  );
}

/** Reads any error of a call as one of ours; `cause` keeps what came. */
export function failureFromConnect(error: unknown): RemexError {
  if (error instanceof RemexError) return error;
  const connectError = ConnectError.from(error);
  const connectCode = codeToString(connectError.code) as ConnectCodeName;
  const [detail] = connectError.findDetails(ErrorDetailSchema);
  const failure =
    detail === undefined
      ? plainFailure(connectCode, connectError.rawMessage)
      : failureFromDetail(detail, connectCode);
  return new RemexError(failure, { cause: error });
}

const retryableCodes: readonly ConnectCodeName[] = [
  "unavailable",
  "deadline_exceeded",
  "aborted",
  "resource_exhausted",
];

/** An error without a detail comes from below us: a broken connection, a deadline, a size limit. */
export function plainFailure(connectCode: ConnectCodeName, problem: string): Failure {
  const limit = messageLimitOf(problem);
  if (connectCode === "resource_exhausted" && limit !== undefined) {
    return failureOf("message_too_large", { limit });
  }
  return {
    ...failureOf("call_failed", { problem: withoutWrapping(problem) }),
    connectCode,
    retryable: retryableCodes.includes(connectCode),
  };
}

/** What happened, without the words that grpc-js puts around the error of a dial. */
function withoutWrapping(problem: string): string {
  const dial =
    /^No connection established\. Last error: (?:Error: )?(.+)\. Resolution note: (.*)$/s;
  const match = dial.exec(problem);
  if (match === null) return problem;
  const [, cause = "", note = ""] = match;
  return note === "" ? cause : `${cause} (${note})`;
}

/** The limit that Connect or grpc-js names when a message was over it; they send no detail. */
function messageLimitOf(problem: string): string | undefined {
  const match = /readMaxBytes (\d+)|larger than max \(\d+ vs\.? (\d+)\)/.exec(problem);
  return match?.[1] ?? match?.[2];
}
