// SPDX-License-Identifier: Apache-2.0
// A server stream that is opened again where it broke, until its caller has enough.

import { Code } from "@connectrpc/connect";
import { callErrorOf, RemexCallError, unreachableCode } from "./call-error.ts";
import { jitteredMs, type Pacing, pause } from "./pacing.ts";

export interface ResumeOptions {
  readonly pacing: Pacing;
  /** Ends the whole; the iteration then simply ends. */
  readonly signal?: AbortSignal | undefined;
  /** How long trouble may last before the last error is thrown; default: for ever. */
  readonly giveUpAfterMs?: number | undefined;
  /** Told about each break that is going to be repaired. */
  readonly onTrouble?: ((error: RemexCallError) => void) | undefined;
}

export interface StreamShape {
  /** Without a frame for so long the stream counts as broken; undefined when it may be silent. */
  readonly silenceMs?: number;
  /** Whether the server's orderly end is the end, or just another break. */
  readonly endsByItself: boolean;
}

const baseMs = 250;
const maxMs = 10_000;
/** A stream that lived so long had held: its end is no sign that the next one will fail. */
const heldMs = 5_000;

/** Yields the frames of `open`, which is called again after every break and begins where it left off. */
export async function* resumedStream<Frame>(
  open: (signal: AbortSignal) => AsyncIterable<Frame>,
  shape: StreamShape,
  options: ResumeOptions,
): AsyncGenerator<Frame, void, undefined> {
  const { pacing, signal } = options;
  let tries = 0;
  let lastFrameAtMs = pacing.nowMs();
  while (!signal?.aborted) {
    const openedAtMs = pacing.nowMs();
    let error: RemexCallError;
    try {
      for await (const frame of guarded(open, shape, options)) {
        yield frame;
        lastFrameAtMs = pacing.nowMs();
      }
      if (shape.endsByItself) return;
      error = broken("the service ended the stream");
    } catch (thrown) {
      error = callErrorOf(thrown);
    }
    if (signal?.aborted) return;
    const troubleMs = pacing.nowMs() - lastFrameAtMs;
    if (!error.retryable || troubleMs >= (options.giveUpAfterMs ?? Number.POSITIVE_INFINITY)) {
      throw error;
    }
    options.onTrouble?.(error);
    tries = pacing.nowMs() - openedAtMs >= heldMs ? 1 : tries + 1;
    const waitMs = (error.retryAfterMs ?? 0) + jitteredMs(pacing, tries, baseMs, maxMs);
    await pause(pacing, waitMs, signal);
  }
}

/** One stream, ended by the caller's signal, by its reader's leaving, or by silence. */
async function* guarded<Frame>(
  open: (signal: AbortSignal) => AsyncIterable<Frame>,
  shape: StreamShape,
  options: ResumeOptions,
): AsyncGenerator<Frame, void, undefined> {
  const { pacing, signal } = options;
  const end = new AbortController();
  const stop = () => end.abort(new RemexCallError(endedByCaller));
  signal?.addEventListener("abort", stop, { once: true });
  let silent = false;
  const watch = () =>
    shape.silenceMs === undefined
      ? () => undefined
      : pacing.after(shape.silenceMs, () => {
          silent = true;
          end.abort();
        });
  let callOff = watch();
  try {
    for await (const frame of open(end.signal)) {
      callOff();
      yield frame;
      callOff = watch();
    }
  } catch (thrown) {
    throw silent ? broken("the stream fell silent") : thrown;
  } finally {
    callOff();
    signal?.removeEventListener("abort", stop);
    end.abort(new RemexCallError(endedByCaller));
  }
}

const endedByCaller = {
  code: "call_canceled",
  connectCode: Code.Canceled,
  message: "the stream was ended by its reader",
  retryable: false,
  facts: {},
} as const;

function broken(message: string): RemexCallError {
  return new RemexCallError({
    code: unreachableCode,
    connectCode: Code.Unavailable,
    message,
    retryable: true,
    facts: {},
  });
}
