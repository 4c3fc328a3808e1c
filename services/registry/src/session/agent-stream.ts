// SPDX-License-Identifier: Apache-2.0
// Serves one session stream: hello within its deadline, fenced frames afterwards, one end.
import { create } from "@bufbuild/protobuf";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { RemexError, refFromWire, refToWire, remexError, sameRef } from "@remex/domain";
import {
  type AgentEvent,
  type Hello,
  type ServerEvent,
  type SessionRequest,
  type SessionResponse,
  SessionResponseSchema,
} from "@remex/proto/agent/v1";
import type { Clock, Logger } from "@remex/runtime";
import { StoreUnavailable } from "@remex/store";
import {
  createFrameWriter,
  endGrpcStream,
  type FrameWriter,
  internalFailure,
  peerAddressOf,
} from "@remex/transport";
import { LiveSession } from "./live-session.ts";
import type { OpenedSession, OpenStream } from "./session-opener.ts";
import { frameInvalid, welcomeEvent } from "./session-wire.ts";

export type AgentCall = ServerDuplexStream<SessionRequest, SessionResponse>;

export interface AgentStreamDeps {
  readonly registry: string;
  readonly clock: Clock;
  readonly log: Logger;
  epoch(): string;
  /** Throws a RemexError when no more agents are taken now. */
  admit(): void;
  readonly open: OpenStream;
  /** The session is live; its Welcome is queued. */
  onLive(live: LiveSession, hello: Hello): void;
  onEvents(live: LiveSession, events: readonly AgentEvent[]): void;
  /** The stream is gone, for whatever reason. */
  onGone(live: LiveSession): void;
  /** A frame of another session or an older generation was passed over. */
  onForeignFrame(live: LiveSession): void;
}

/** How long an agent may take to say hello (SEC-L5). */
export const helloDeadlineMs = 5_000;
const mostFrameEvents = 10_000;

type Phase =
  | { readonly kind: "awaiting_hello" }
  | { readonly kind: "opening" }
  | { readonly kind: "live"; readonly live: LiveSession }
  | { readonly kind: "over" };

/** Serves the stream until it ends. */
export function serveAgentStream(call: AgentCall, deps: AgentStreamDeps): void {
  let phase: Phase = { kind: "awaiting_hello" };
  const cancelDeadline = deps.clock.after(helloDeadlineMs, () => {
    end(remexError("deadline_passed", { timeoutMs: helloDeadlineMs }));
  });

  function end(error?: RemexError): void {
    const before = phase;
    if (before.kind === "over") return;
    phase = { kind: "over" };
    cancelDeadline();
    if (error === undefined) call.end();
    else endGrpcStream(call, error);
    // What the agent still sends must be read away for the end to reach it.
    call.resume();
    if (before.kind === "live") deps.onGone(before.live);
  }

  function receive(frame: SessionRequest): void {
    switch (phase.kind) {
      case "awaiting_hello":
        cancelDeadline();
        phase = { kind: "opening" };
        // What comes before Welcome waits in the transport.
        call.pause();
        openWith(frame).catch((error: unknown) => end(refusalOf(error, deps.log)));
        return;
      case "live":
        receiveEvents(phase.live, frame);
        return;
      case "opening":
      case "over":
        return;
    }
  }

  async function openWith(frame: SessionRequest): Promise<void> {
    const hello = helloOf(frame);
    deps.admit();
    const opened = await deps.open(hello, call.metadata, peerAddressOf(call));
    if (phase.kind !== "opening") {
      // The agent went away meanwhile; its session is in the store and its stream is not.
      deps.onGone(new LiveSession(opened.facts, { send: () => undefined, end: () => undefined }));
      return;
    }
    const live = new LiveSession(opened.facts, channelFor(call, opened, end));
    phase = { kind: "live", live };
    live.channel.send([welcomeOf(opened, deps)]);
    deps.onLive(live, hello);
    call.resume();
  }

  function receiveEvents(live: LiveSession, frame: SessionRequest): void {
    const { session, generation } = live.facts;
    const foreign = !sameRef(refFromWire(frame.session), session);
    if (foreign || frame.generation !== BigInt(generation)) {
      deps.onForeignFrame(live);
      return;
    }
    if (frame.events.length > mostFrameEvents) {
      end(frameInvalid(`it holds ${frame.events.length} events, at most ${mostFrameEvents}`));
      return;
    }
    if (frame.events.some(({ event }) => event.case === "hello")) {
      end(frameInvalid("hello is only said in the first frame of a stream"));
      return;
    }
    deps.onEvents(live, frame.events);
  }

  call.on("data", receive);
  // An agent may end its side right after its goodbye; the answer to that is still to come.
  call.on("end", () => {
    const leaving = phase.kind === "live" ? phase.live.leaving : undefined;
    if (leaving === undefined) end();
    else void leaving.then(() => end());
  });
  call.on("cancelled", () => end());
  call.on("close", () => end());
}

function helloOf(frame: SessionRequest): Hello {
  const [first, ...rest] = frame.events;
  if (first?.event.case !== "hello" || rest.length > 0) {
    throw frameInvalid("the first frame of a stream holds one hello and nothing else");
  }
  return first.event.value;
}

function welcomeOf(opened: OpenedSession, deps: AgentStreamDeps): ServerEvent {
  const { facts, config, resumed, sessionKey } = opened;
  const { session, generation, availability } = facts;
  const { registry } = deps;
  const epoch = deps.epoch();
  return welcomeEvent({
    ...{ session, generation, availability, resumed, sessionKey, epoch, registry, config },
  });
}

function channelFor(call: AgentCall, opened: OpenedSession, end: (error?: RemexError) => void) {
  const session = refToWire(opened.facts.session);
  const writer: FrameWriter<ServerEvent> = createFrameWriter<ServerEvent, SessionResponse>({
    stream: call,
    frameOf: (events) => create(SessionResponseSchema, { session, events }),
    onOverflow: ({ events }) => {
      const limit = `${events} waiting events`;
      end(new RemexError(frameInvalid(`the agent reads too slowly: ${limit}`).failure));
    },
  });
  return {
    send: (events: readonly ServerEvent[], roughBytes?: number) => writer.send(events, roughBytes),
    end: (error?: RemexError) => {
      writer.flush();
      writer.stop();
      end(error);
    },
  };
}

/** What an agent is told when its hello failed. */
function refusalOf(error: unknown, log: Logger): RemexError {
  if (error instanceof RemexError) {
    log.info({ reason: error.code }, "hello refused");
    return error;
  }
  if (error instanceof StoreUnavailable)
    return remexError("store_unavailable", {}, { cause: error });
  return new RemexError(internalFailure(error, "remex.agent.v1.AgentSessionService/Session", log));
}
