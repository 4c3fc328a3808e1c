// SPDX-License-Identifier: Apache-2.0
// Serves one session stream: hello within its deadline, fenced frames afterwards, one end.
import { create } from "@bufbuild/protobuf";
import type { Metadata, ServerDuplexStream } from "@grpc/grpc-js";
import { RemexError, refFromWire, refToWire, remexError, sameRef } from "@remex/domain";
import {
  type AgentEvent,
  type Hello,
  type ServerEvent,
  type SessionRequest,
  type SessionResponse,
  SessionResponseSchema,
} from "@remex/proto/agent/v1";
import type { CancelTimer, Clock, Logger } from "@remex/runtime";
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
  onForeignFrame(kind: ForeignFrame): void;
  /** A hello was refused, with this code. */
  onHelloRefused(code: string, hello: Hello | undefined, metadata: Metadata): void;
}

/** What a frame that was passed over names: another session, or another stream of this one. */
export type ForeignFrame = "session" | "older_stream" | "newer_stream";

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
  new AgentStream(call, deps).serve();
}

class AgentStream {
  readonly #call: AgentCall;
  readonly #deps: AgentStreamDeps;
  #phase: Phase = { kind: "awaiting_hello" };
  #cancelDeadline: CancelTimer = () => undefined;

  constructor(call: AgentCall, deps: AgentStreamDeps) {
    this.#call = call;
    this.#deps = deps;
  }

  serve(): void {
    const call = this.#call;
    this.#cancelDeadline = this.#deps.clock.after(helloDeadlineMs, () => {
      this.#end(remexError("deadline_passed", { timeoutMs: helloDeadlineMs }));
    });
    call.on("data", (frame: SessionRequest) => this.#receive(frame));
    call.on("end", () => this.#agentEnded());
    call.on("cancelled", () => this.#end());
    call.on("close", () => this.#end());
  }

  #end(error?: RemexError): void {
    const before = this.#phase;
    if (before.kind === "over") return;
    this.#phase = { kind: "over" };
    this.#cancelDeadline();
    if (error === undefined) this.#call.end();
    else endGrpcStream(this.#call, error);
    // What the agent still sends must be read away for the end to reach it.
    this.#call.resume();
    if (before.kind === "live") this.#deps.onGone(before.live);
  }

  // An agent may end its side right after its goodbye; the answer to that is still to come.
  #agentEnded(): void {
    const leaving = this.#phase.kind === "live" ? this.#phase.live.leaving : undefined;
    if (leaving === undefined) this.#end();
    else void leaving.then(() => this.#end());
  }

  #receive(frame: SessionRequest): void {
    switch (this.#phase.kind) {
      case "awaiting_hello":
        this.#cancelDeadline();
        this.#phase = { kind: "opening" };
        // What comes before Welcome waits in the transport.
        this.#call.pause();
        this.#open(frame).catch((error: unknown) => this.#refuse(error, frame));
        return;
      case "live":
        this.#receiveEvents(this.#phase.live, frame);
        return;
      case "opening":
      case "over":
        return;
    }
  }

  #refuse(error: unknown, frame: SessionRequest): void {
    const refusal = refusalOf(error, this.#deps.log);
    const [first] = frame.events;
    const hello = first?.event.case === "hello" ? first.event.value : undefined;
    this.#deps.onHelloRefused(refusal.code, hello, this.#call.metadata);
    this.#end(refusal);
  }

  async #open(frame: SessionRequest): Promise<void> {
    const call = this.#call;
    const hello = helloOf(frame);
    this.#deps.admit();
    const opened = await this.#deps.open(hello, call.metadata, peerAddressOf(call));
    if (this.#phase.kind !== "opening") {
      // The agent went away meanwhile; its session is in the store and its stream is not.
      const nobody = { send: () => undefined, end: () => undefined };
      this.#deps.onGone(new LiveSession(opened.facts, nobody));
      return;
    }
    const channel = channelFor(call, opened, (error) => this.#end(error));
    const live = new LiveSession(opened.facts, channel);
    this.#phase = { kind: "live", live };
    live.channel.send([welcomeOf(opened, this.#deps)]);
    this.#deps.onLive(live, hello);
    call.resume();
  }

  #receiveEvents(live: LiveSession, frame: SessionRequest): void {
    const { session, generation } = live.facts;
    if (!sameRef(refFromWire(frame.session), session)) {
      this.#deps.onForeignFrame("session");
    } else if (frame.generation !== BigInt(generation)) {
      const older = frame.generation < BigInt(generation);
      this.#deps.onForeignFrame(older ? "older_stream" : "newer_stream");
    } else if (frame.events.length > mostFrameEvents) {
      const held = `it holds ${frame.events.length} events, at most ${mostFrameEvents}`;
      this.#end(frameInvalid(held));
    } else if (frame.events.some(({ event }) => event.case === "hello")) {
      this.#end(frameInvalid("hello is only said in the first frame of a stream"));
    } else {
      this.#deps.onEvents(live, frame.events);
    }
  }
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
  const { session, generation, availability, onCut } = facts;
  const { registry } = deps;
  const epoch = deps.epoch();
  return welcomeEvent({
    ...{ session, generation, availability, resumed, sessionKey, epoch, registry, config },
    onCut,
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
