// SPDX-License-Identifier: Apache-2.0
// One dial of the agent: a connection of its own, the session stream on it, and the side calls.

import { create } from "@bufbuild/protobuf";
import { type ClientDuplexStream, Metadata } from "@grpc/grpc-js";
import { type NumberedRef, refToWire } from "@remex/domain";
import {
  type AgentEvent,
  AgentSessionService,
  type SessionRequest,
  SessionRequestSchema,
  type SessionResponse,
} from "@remex/proto/agent/v1";
import { Pacer } from "@remex/runtime";
import {
  createFrameWriter,
  type FrameWriter,
  failureFromGrpc,
  type GrpcChannel,
  type GrpcClient,
  grpcClientFor,
} from "@remex/transport";
import type { StreamEnd } from "../session/dial-outcome.ts";

export type AgentClient = GrpcClient<typeof AgentSessionService>;

export interface SessionStreamOptions {
  readonly channel: GrpcChannel;
  readonly metadata: Metadata;
  readonly hello: AgentEvent;
  readonly onFrame: (frame: SessionResponse) => void;
  /** Called once, whoever ended it. */
  readonly onEnd: (end: StreamEnd) => void;
}

/** A session stream; frames of one turn of the event loop are joined. */
export class SessionStream {
  /** For side calls (Forward, SendLog) on the same connection. */
  readonly client: AgentClient;
  readonly #stream: ClientDuplexStream<SessionRequest, SessionResponse>;
  readonly #writer: FrameWriter<AgentEvent>;
  readonly #pacer = new Pacer(paceMs, () => this.#handOver());
  #waiting: AgentEvent[] = [];
  #waitingBytes = 0;
  #head: { readonly session: NumberedRef; readonly generation: bigint } | undefined;
  #ended = false;

  constructor(options: SessionStreamOptions) {
    this.client = grpcClientFor(AgentSessionService, options.channel);
    this.#stream = this.client.session({ metadata: options.metadata });
    this.#writer = createFrameWriter<AgentEvent, SessionRequest>({
      stream: this.#stream,
      frameOf: (events) => this.#frame(events),
      onOverflow: () => this.#stream.cancel(),
    });
    const end = (result: StreamEnd) => {
      if (this.#ended) return;
      this.#ended = true;
      this.#pacer.written();
      this.#writer.stop();
      options.onEnd(result);
    };
    this.#stream.on("data", (frame: SessionResponse) => {
      if (!this.#ended) options.onFrame(frame);
    });
    this.#stream.on("error", (error) => end(streamEndOf(error)));
    this.#stream.on("end", () => end(cleanEnd));
    this.#writer.send([options.hello]);
  }

  /** From the welcome on, every frame names its session and generation. */
  welcomed(session: NumberedRef, generation: number): void {
    this.#head = { session, generation: BigInt(generation) };
  }

  send(event: AgentEvent): void {
    const bytes = roughBytesOf(event);
    if (bytes > heavyBytes) {
      // By itself, since frames are split by the weight of what was handed over together, on average.
      this.#handOver();
      this.#writer.send([event], bytes);
      return;
    }
    this.#waiting.push(event);
    this.#waitingBytes += bytes;
    this.#pacer.request();
  }

  #handOver(): void {
    const events = this.#waiting;
    this.#waiting = [];
    this.#writer.send(events, this.#waitingBytes);
    this.#waitingBytes = 0;
  }

  /** Says what waits, ends this side, and drops the connection once the far side has ended too. */
  hangUp(): void {
    this.#ended = true;
    this.#pacer.written();
    this.#handOver();
    this.#writer.flush();
    this.#writer.stop();
    this.#stream.end();
    const close = () => this.client.close();
    const timer = setTimeout(() => {
      this.#stream.cancel();
      close();
    }, lingerMs);
    timer.unref();
    this.#stream.once("status", () => {
      clearTimeout(timer);
      close();
    });
  }

  #frame(events: AgentEvent[]): SessionRequest {
    const head = this.#head;
    if (head === undefined) return create(SessionRequestSchema, { events });
    const session = refToWire(head.session);
    return create(SessionRequestSchema, { session, generation: head.generation, events });
  }
}

/** What an event may weigh on the wire, for the size of frames. */
function roughBytesOf(event: AgentEvent): number {
  if (event.event.case === "report") {
    return 256 + (event.event.value.outcome?.result.length ?? 0);
  }
  if (event.event.case === "triggerEvent") return 256 + event.event.value.payload.length;
  if (event.event.case === "inventory") return 256 + event.event.value.entries.length * 256;
  return 128;
}

/** What weighs more is not averaged with others. */
const heavyBytes = 16_384;

/** Frames that follow each other faster are joined. */
const paceMs = 1;

/** How long last words may take to get out on a connection that is given up. */
const lingerMs = 1_000;

const cleanEnd: StreamEnd = {
  status: "ok",
  code: undefined,
  message: "the control plane ended the stream",
  retryAfterMs: undefined,
};

function streamEndOf(error: unknown): StreamEnd {
  const { failure } = failureFromGrpc(error);
  return {
    status: failure.connectCode,
    code: failure.code,
    message: failure.message,
    retryAfterMs: failure.retryAfterMs,
  };
}

/** What every resume and side call shows instead of the token (SEC-T11). */
export interface SessionPass {
  readonly deployment: string;
  readonly agent: string;
  readonly session: NumberedRef;
  readonly key: Uint8Array;
}

export function passMetadata(pass: SessionPass): Metadata {
  const metadata = new Metadata();
  const { epoch, number } = pass.session;
  metadata.set("remex-session", `${pass.deployment}/${pass.agent}/${epoch}.${number}`);
  metadata.set("remex-session-key-bin", Buffer.from(pass.key));
  return metadata;
}

export function tokenMetadata(token: string): Metadata {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}
