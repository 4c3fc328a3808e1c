// SPDX-License-Identifier: Apache-2.0
// Turns a failure of the records store into the refusal that callers may repeat.

import { remexError } from "@remex/domain";

/** Awaits a call of the records; whatever it throws is not the caller's fault. */
export async function withRecords<Result>(call: Promise<Result>): Promise<Result> {
  try {
    return await call;
  } catch (cause) {
    throw remexError("records_unavailable", {}, { cause });
  }
}
