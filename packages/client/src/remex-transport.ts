// SPDX-License-Identifier: Apache-2.0
// Puts what every call needs around a Connect transport: the key, a deadline, repetition, readable errors.

import { Code, type Transport } from "@connectrpc/connect";
import { callErrorOf, keyUnusableCode, RemexCallError } from "./call-error.ts";
import { jitteredMs, type Pacing, pause } from "./pacing.ts";
import { isSafeToRepeat, type RepeatPolicy } from "./repeat-call.ts";

/** Gives the operator key at each call, so that a file can be read anew; undefined for none. */
export type KeyProvider = () => string | undefined | Promise<string | undefined>;

export interface RemexTransportOptions {
  readonly key: KeyProvider;
  /** For a unary call with all its repetitions. Streams have none: their caller ends them. */
  readonly timeoutMs: number;
  readonly repeat: RepeatPolicy;
  readonly pacing: Pacing;
}

export function createRemexTransport(inner: Transport, options: RemexTransportOptions): Transport {
  const { pacing, repeat } = options;
  return {
    unary: async (method, signal, timeoutMs, header, input, contextValues) => {
      const deadline = pacing.nowMs() + (timeoutMs ?? options.timeoutMs);
      const headers = await withKey(header, options.key);
      for (let tries = 1; ; tries += 1) {
        try {
          // The wire takes whole milliseconds alone.
          const leftMs = Math.max(1, Math.ceil(deadline - pacing.nowMs()));
          return await inner.unary(method, signal, leftMs, headers, input, contextValues);
        } catch (thrown) {
          const error = callErrorOf(thrown);
          const again = error.retryable && isSafeToRepeat(method, input, error);
          const waitMs = waitBeforeMs(error, tries, repeat, pacing);
          if (!again || waitMs === undefined || pacing.nowMs() + waitMs >= deadline) throw error;
          await pause(pacing, waitMs, signal);
          if (signal?.aborted) throw error;
        }
      }
    },
    stream: async (method, signal, timeoutMs, header, input, contextValues) => {
      const headers = await withKey(header, options.key);
      try {
        const answer = await inner.stream(method, signal, timeoutMs, headers, input, contextValues);
        return { ...answer, message: withReadableErrors(answer.message) };
      } catch (thrown) {
        throw callErrorOf(thrown);
      }
    },
  } satisfies Transport;
}

type HeaderSource = ConstructorParameters<typeof Headers>[0];

async function withKey(header: HeaderSource, provide: KeyProvider): Promise<Headers> {
  const headers = new Headers(header);
  const key = await provide();
  if (key === undefined) return headers;
  // The platform's own complaint about a header would quote its value.
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw new RemexCallError({
      code: keyUnusableCode,
      connectCode: Code.Unauthenticated,
      message: "the operator key is not one line of printable characters without spaces",
      retryable: false,
      facts: {},
    });
  }
  headers.set("authorization", `Bearer ${key}`);
  return headers;
}

function waitBeforeMs(
  error: RemexCallError,
  tries: number,
  repeat: RepeatPolicy,
  pacing: Pacing,
): number | undefined {
  const askedMs = error.retryAfterMs ?? 0;
  if (tries >= repeat.maxTries || askedMs > repeat.maxMs) return undefined;
  return askedMs + jitteredMs(pacing, tries, repeat.baseMs, repeat.maxMs);
}

async function* withReadableErrors<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (thrown) {
    throw callErrorOf(thrown);
  }
}
