// SPDX-License-Identifier: Apache-2.0
// Turns a failure of the records store into the refusal that callers may repeat.

import { isRemexError, remexError } from "@remex/domain";

/** Awaits a call of the records; a refusal that a decision threw inside passes as it is. */
export async function withRecords<Result>(call: Promise<Result>): Promise<Result> {
  try {
    return await call;
  } catch (cause) {
    if (isRemexError(cause)) throw cause;
    throw remexError("records_unavailable", {}, { cause });
  }
}
