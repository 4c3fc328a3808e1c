// SPDX-License-Identifier: Apache-2.0
// Failures of Remex as grpc-js statuses and back; the ErrorDetail travels in grpc-status-details-bin.

import { ConnectError } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { findTrailerError, setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { Metadata, type StatusObject } from "@grpc/grpc-js";
import { type ConnectCodeName, type Failure, RemexError } from "@remex/domain";
import { connectErrorOf, failureFromConnect, plainFailure } from "./connect-errors.ts";

const detailsKey = "grpc-status-details-bin";

/** The status that a grpc-js call is ended with. */
export function grpcStatusOf(failure: Failure): StatusObject {
  const error = connectErrorOf(failure);
  const trailers = setTrailerStatus(new Headers(), error);
  const metadata = new Metadata();
  const details = trailers.get(detailsKey);
  if (details !== null) metadata.set(detailsKey, Buffer.from(details, "base64"));
  // Connect's codes are numbered as gRPC's are.
  return { code: error.code as number, details: failure.message, metadata };
}

/** Reads the error of a grpc-js call as one of ours; `cause` keeps what came. */
export function failureFromGrpc(error: unknown): RemexError {
  if (error instanceof RemexError) return error;
  if (!isStatus(error)) return failureFromConnect(ConnectError.from(error));
  const trailers = new Headers({ "grpc-status": String(error.code) });
  const [details] = error.metadata.get(detailsKey);
  if (Buffer.isBuffer(details)) trailers.set(detailsKey, details.toString("base64"));
  const found = findTrailerError(trailers);
  if (found !== undefined && details !== undefined) {
    return new RemexError(failureFromConnect(found).failure, { cause: error });
  }
  const connectCode = codeToString(error.code as number) as ConnectCodeName;
  return new RemexError(plainFailure(connectCode, error.details), { cause: error });
}

function isStatus(error: unknown): error is StatusObject {
  return (
    typeof error === "object" &&
    error !== null &&
    "code" in error &&
    typeof error.code === "number" &&
    "details" in error &&
    "metadata" in error &&
    error.metadata instanceof Metadata
  );
}
