// SPDX-License-Identifier: Apache-2.0
// Waits for something within a limit in time, or until somebody says that it is no longer wanted.
import { remexError } from "@remex/domain";
import type { Clock } from "@remex/runtime";

export interface WithinOptions {
  readonly clock: Clock;
  /** Absence means without end. */
  readonly limitMs?: number;
  /** Gives up with `canceled`. */
  readonly signal?: AbortSignal;
  /** What a wait that took too long rejects with. Absence means `deadline_passed`. */
  readonly late?: () => Error;
}

/** The promise's value, or a rejection when the limit has passed or the signal was given. */
export async function within<Value>(
  promise: Promise<Value>,
  { clock, limitMs, signal, late }: WithinOptions,
): Promise<Value> {
  const ended = Promise.withResolvers<never>();
  const onAbort = () => ended.reject(remexError("canceled"));
  const onLate = () =>
    ended.reject(late?.() ?? remexError("deadline_passed", { timeoutMs: limitMs ?? 0 }));
  const cancel = limitMs === undefined ? undefined : clock.after(limitMs, onLate);
  if (signal?.aborted) onAbort();
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, ended.promise]);
  } finally {
    cancel?.();
    signal?.removeEventListener("abort", onAbort);
  }
}
