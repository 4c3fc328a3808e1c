// SPDX-License-Identifier: Apache-2.0
// Joins a reader of a log to the agent's SendLog call that answers it, with back-pressure both ways.
import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import type { ServerReadableStream } from "@grpc/grpc-js";
import { RemexError, remexError } from "@remex/domain";
import {
  type SendLogRequest,
  type SendLogResponse,
  SendLogResponseSchema,
} from "@remex/proto/agent/v1";
import type { Clock } from "@remex/runtime";
import { failureFromDetail } from "@remex/transport";
import type { LiveSession } from "../session/live-session.ts";
import { serverEvent } from "../session/session-wire.ts";
import type { AuthenticateSideCall } from "../session/side-calls.ts";
import { within } from "../within.ts";

/** What is asked of an agent. */
export interface LogWish {
  readonly task: string;
  readonly attempt: { readonly epoch: bigint; readonly number: bigint };
  readonly offset: bigint;
  readonly limit: bigint;
  readonly follow: boolean;
}

/** A part of a log. */
export interface LogPart {
  readonly offset: bigint;
  readonly data: Uint8Array;
  readonly complete: boolean;
}

export interface LogFetches {
  /** Asks the agent and yields what it sends; rejects with `log_unknown` or `agent_away`. */
  read(live: LiveSession, wish: LogWish, signal: AbortSignal): AsyncIterable<LogPart>;
  /** Serves AgentSessionService.SendLog. */
  sendLog(call: ServerReadableStream<SendLogRequest, SendLogResponse>): Promise<SendLogResponse>;
}

/** How long an agent may take to begin its answer. */
const answerMs = 10_000;
/** How long a call may take to send its first message (SEC-L5). */
const firstMessageMs = 5_000;
/** How long it may pause within one, when it does not follow. */
const pauseMs = 30_000;

type SendLogCall = ServerReadableStream<SendLogRequest, SendLogResponse>;

interface Fetch {
  readonly deployment: string;
  readonly agent: string;
  /** Takes the agent's call; settles when the reader needs it no longer. */
  answered(first: SendLogRequest, rest: AsyncIterator<SendLogRequest>): Promise<void>;
}

export function createLogFetches(clock: Clock, authenticate: AuthenticateSideCall): LogFetches {
  const fetches = new Map<string, Fetch>();

  async function* read(
    live: LiveSession,
    wish: LogWish,
    signal: AbortSignal,
  ): AsyncGenerator<LogPart> {
    const { deployment, agent } = live.facts;
    const fetch = randomUUID();
    const answer = Promise.withResolvers<AsyncIterator<SendLogRequest>>();
    const over = Promise.withResolvers<void>();
    fetches.set(fetch, {
      ...{ deployment, agent },
      answered: (first, rest) => {
        answer.resolve(startingWith(first, rest));
        return over.promise;
      },
    });
    live.channel.send([serverEvent({ case: "logFetch", value: { fetch, ...wish } })]);
    const late = () => remexError("agent_away", { agent });
    try {
      const parts = await within(answer.promise, { clock, limitMs: answerMs, signal, late });
      for (;;) {
        // An agent that follows is silent for as long as the task writes nothing.
        const limit = wish.follow ? {} : { limitMs: pauseMs };
        const next = await within(parts.next(), { clock, signal, late, ...limit });
        if (next.done === true) return;
        const { offset, data, complete, error } = next.value;
        if (error !== undefined) throw new RemexError(failureFromDetail(error, "not_found"));
        yield { offset, data, complete };
        if (complete) return;
      }
    } finally {
      fetches.delete(fetch);
      over.resolve();
    }
  }

  async function sendLog(call: SendLogCall): Promise<SendLogResponse> {
    const { deployment, agent } = await authenticate(call.metadata);
    const frames = call.iterator({ destroyOnReturn: false }) as AsyncIterator<SendLogRequest>;
    const first = await within(frames.next(), { clock, limitMs: firstMessageMs });
    const fetch = first.done === true ? undefined : fetches.get(first.value.fetch);
    // Nobody waits for it any more, or it is another agent's: the call ends early all the same.
    if (first.done !== true && fetch?.deployment === deployment && fetch.agent === agent) {
      const cancelled = new Promise<void>((resolve) => call.once("cancelled", resolve));
      await Promise.race([fetch.answered(first.value, frames), cancelled]);
    }
    return create(SendLogResponseSchema);
  }

  return { read, sendLog };
}

async function* startingWith(
  first: SendLogRequest,
  rest: AsyncIterator<SendLogRequest>,
): AsyncGenerator<SendLogRequest> {
  yield first;
  for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
}
