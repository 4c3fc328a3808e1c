// SPDX-License-Identifier: Apache-2.0
// Plain reads of the store, which fail in the one way that callers know.
import { StoreUnavailable } from "./store-error.ts";

/** Awaits a read; a failed one was as good as not sent, since a read has no effect. */
export async function plainRead<Value>(what: string, reading: Promise<Value>): Promise<Value> {
  try {
    return await reading;
  } catch (cause) {
    throw new StoreUnavailable("not_sent", what, { cause });
  }
}
