// SPDX-License-Identifier: Apache-2.0
// What every call of a server leaves behind: a duration by method and code, and a line in the log.

import type { Interceptor } from "@connectrpc/connect";
import { ConnectError } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { isRemexError } from "@remex/domain";
import type { Clock, Logger, Metrics } from "@remex/runtime";
import { connectErrorOf, failureFromConnect } from "./connect-errors.ts";
import { internalFailure } from "./internal-failure.ts";

export interface CallObserverOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: Metrics;
}

/**
 * The outermost interceptor of a server: turns what handlers throw into answers (a RemexError keeps its
 * code; anything else becomes "internal" with a reference), counts and logs.
 */
export function observeCalls(options: CallObserverOptions): Interceptor {
  const { clock, log } = options;
  const durations = options.metrics?.histogram(
    "rpc_server_duration_seconds",
    "Duration of calls answered, by method and code; of streams, their whole life.",
    ["method", "code"],
  );

  function done(method: string, startedMs: number, code: string): void {
    const durationMs = clock.nowMs() - startedMs;
    durations?.observe({ method, code }, durationMs / 1000);
    log.debug({ method, code, durationMs }, "call answered");
  }

  function failed(method: string, startedMs: number, error: unknown): ConnectError {
    const answer = answerTo(error, method, log);
    done(method, startedMs, codeToString(answer.code));
    return answer;
  }

  return (next) => async (request) => {
    const method = `${request.service.typeName}/${request.method.name}`;
    const startedMs = clock.nowMs();
    try {
      const response = await next(request);
      if (!response.stream) {
        done(method, startedMs, "ok");
        return response;
      }
      return {
        ...response,
        message: observeStream(response.message, {
          done: () => done(method, startedMs, "ok"),
          failed: (error) => failed(method, startedMs, error),
        }),
      };
    } catch (error) {
      throw failed(method, startedMs, error);
    }
  };
}

async function* observeStream<Message>(
  messages: AsyncIterable<Message>,
  on: { done(): void; failed(error: unknown): Error },
): AsyncGenerator<Message> {
  let ended = false;
  try {
    yield* messages;
  } catch (error) {
    ended = true;
    throw on.failed(error);
  } finally {
    if (!ended) on.done();
  }
}

function answerTo(error: unknown, method: string, log: Logger): ConnectError {
  if (isRemexError(error)) return connectErrorOf(error.failure, error);
  if (error instanceof ConnectError) {
    return error.details.length > 0
      ? error
      : connectErrorOf(failureFromConnect(error).failure, error);
  }
  // An aborted call is the caller's doing or the shutdown's: nothing went wrong inside.
  if (error instanceof Error && (error.name === "AbortError" || error.name === "TimeoutError")) {
    return ConnectError.from(error);
  }
  return connectErrorOf(internalFailure(error, method, log), error);
}
