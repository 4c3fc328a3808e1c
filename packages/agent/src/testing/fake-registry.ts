// SPDX-License-Identifier: Apache-2.0
// The far side for tests: a real gRPC server that plays registry, scheduler and monitor as it is told.

import { randomBytes } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Metadata, ServerDuplexStream, ServerReadableStream } from "@grpc/grpc-js";
import type { RemexError } from "@remex/domain";
import {
  type AgentEvent,
  AgentSessionService,
  Availability,
  type ForwardRequest,
  type ForwardResponse,
  type Hello,
  ReportVerdict,
  type SendLogRequest,
  type SendLogResponse,
  SendLogResponseSchema,
  type ServerEventSchema,
  type SessionRequest,
  type SessionResponse,
  SessionResponseSchema,
  type WelcomeSchema,
} from "@remex/proto/agent/v1";
import type { TaskSpecSchema } from "@remex/proto/common/v1";
import { createSilentLogger } from "@remex/runtime";
import { endGrpcStream, type RunningServer, serveGrpc } from "@remex/transport";

type SessionCall = ServerDuplexStream<SessionRequest, SessionResponse>;
type ServerSaysInit = NonNullable<MessageInitShape<typeof ServerEventSchema>["event"]>;
type ForwardCall = ServerDuplexStream<ForwardRequest, ForwardResponse>;

/** What an agent said: the case and the value of each event, in order. */
export type Said = AgentEvent["event"];

type SaidCase = NonNullable<Said["case"]>;
type SaidValue<Name extends SaidCase> = Extract<Said, { case: Name; value: unknown }>["value"];

export interface FakeRegistryOptions {
  readonly heartbeatMs: number;
  /** Absence means twice the heartbeat. */
  readonly leaseMs?: number;
  readonly windowMs?: number;
  readonly stopMs?: number;
}

/** Answers beats, confirms accepts and takes reports unless a test switches that off. */
export class FakeRegistry {
  readonly #options: FakeRegistryOptions;
  readonly said: Said[] = [];
  readonly hellos: { readonly hello: Hello; readonly metadata: Metadata }[] = [];
  readonly logs: SendLogRequest[] = [];
  readonly key = randomBytes(32);
  acknowledges = true;
  confirms = true;
  answersReports = true;
  /** Throws to refuse a hello. */
  admit: (hello: Hello, metadata: Metadata) => void = () => undefined;
  /** Serves a forwarded request. */
  forward: (call: ForwardCall) => void = (call) => call.end();
  session = 1;
  #server: RunningServer | undefined;
  #call: SessionCall | undefined;
  #waiting: ServerSaysInit[] = [];
  #scheduled: NodeJS.Immediate | undefined;
  #attempts = 0;
  #port = 0;

  constructor(options: FakeRegistryOptions) {
    this.#options = options;
  }

  /** Listens; on the port of an earlier life when one is given. */
  async start(port = 0): Promise<void> {
    this.#server = await serveGrpc({
      listen: { host: "127.0.0.1", port },
      flag: "--agents-listen",
      log: createSilentLogger(),
      register: (services) => {
        services.add(AgentSessionService, {
          session: (call) => this.#serve(call),
          forward: (call) => this.forward(call),
          sendLog: (call) => this.#takeLog(call),
        });
      },
    });
    this.#port = this.#server.address.port;
  }

  /** The port, also after it has stopped. */
  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async stop(): Promise<void> {
    this.#call = undefined;
    await this.#server?.close(0);
    this.#server = undefined;
  }

  /** Breaks the stream as a dying registry does. */
  breakStream(): void {
    this.#call?.destroy();
  }

  /** Ends the stream with a failure. */
  endStream(error: RemexError): void {
    if (this.#call !== undefined) endGrpcStream(this.#call, error);
  }

  /** Says it in the frame of this turn, as the real one does. */
  say(...says: ServerSaysInit[]): void {
    this.#waiting.push(...says);
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined;
      const events = this.#waiting.map((event) => ({ event }));
      this.#waiting = [];
      this.#call?.write(create(SessionResponseSchema, { session: this.#sessionId(), events }));
    });
  }

  /** Offers a task; gives the attempt's number. */
  offer(task: string, spec: MessageInitShape<typeof TaskSpecSchema>, number?: number): number {
    const attempt = number ?? ++this.#attempts;
    this.say({ case: "offer", value: this.offerOf(task, spec, attempt) });
    return attempt;
  }

  offerOf(task: string, spec: MessageInitShape<typeof TaskSpecSchema>, number: number) {
    return {
      task,
      attempt: attemptId(number),
      timeToLive: durationFromMs(5_000),
      spec,
      idempotencyKey: `key of ${task}`,
      payloadDigest: new Uint8Array([1, 2, 3]),
    };
  }

  /** Everything said of one kind. */
  saidOf<Name extends SaidCase>(name: Name): SaidValue<Name>[] {
    return this.said.flatMap((event) =>
      event.case === name ? [event.value as SaidValue<Name>] : [],
    );
  }

  #sessionId() {
    return { epoch: 1_794_000_000n, number: BigInt(this.session) };
  }

  #serve(call: SessionCall): void {
    call.on("data", (frame: SessionRequest) => {
      for (const { event } of frame.events) this.#take(call, event);
    });
    call.on("error", () => undefined);
    call.on("end", () => call.end());
  }

  #take(call: SessionCall, event: Said): void {
    this.said.push(event);
    switch (event.case) {
      case "hello":
        this.#welcome(call, event.value);
        return;
      case "beat":
        if (!this.acknowledges) return;
        this.say({
          case: "beatAck",
          value: { sequence: event.value.sequence, epoch: 1_794_000_000n, intervalVersion: 1n },
        });
        return;
      case "accept": {
        const { task, attempt } = event.value;
        if (this.confirms) this.say({ case: "confirm", value: { task, attempt } });
        return;
      }
      case "report": {
        const { task, attempt } = event.value;
        const verdict = ReportVerdict.ACCEPTED;
        if (this.answersReports)
          this.say({ case: "reportAnswer", value: { task, attempt, verdict } });
        return;
      }
      case "goodbye":
        call.end();
        return;
      default:
    }
  }

  #welcome(call: SessionCall, hello: Hello): void {
    this.hellos.push({ hello, metadata: call.metadata });
    try {
      this.admit(hello, call.metadata);
    } catch (error) {
      endGrpcStream(call, error as RemexError);
      return;
    }
    this.#call = call;
    const { resume } = hello;
    if (resume === undefined && this.hellos.length > 1) this.session += 1;
    const welcome: MessageInitShape<typeof WelcomeSchema> = {
      session: this.#sessionId(),
      generation: resume?.generation ?? 1n,
      protocol: 1,
      resumed: resume !== undefined,
      deployment: "default",
      settings: this.settings(1),
      sessionKey: { key: this.key },
      epoch: 1_794_000_000n,
      registry: "fake",
      airflowApi: true,
      availability: Availability.SCHEDULABLE,
    };
    this.say({ case: "welcome", value: welcome });
  }

  settings(version: number, heartbeatMs = this.#options.heartbeatMs) {
    const leaseMs = this.#options.leaseMs ?? 2 * heartbeatMs;
    return {
      intervalVersion: BigInt(version),
      heartbeatInterval: durationFromMs(heartbeatMs),
      agentLease: durationFromMs(leaseMs),
      confirmWindow: durationFromMs(this.#options.windowMs ?? leaseMs),
      stopTime: durationFromMs(this.#options.stopMs ?? 1_000),
      maxFrameBytes: 1_048_576,
    };
  }

  #takeLog(call: ServerReadableStream<SendLogRequest, SendLogResponse>): Promise<SendLogResponse> {
    return new Promise((resolve) => {
      call.on("data", (part: SendLogRequest) => this.logs.push(part));
      call.on("end", () => resolve(create(SendLogResponseSchema)));
      call.on("error", () => resolve(create(SendLogResponseSchema)));
    });
  }
}

export function attemptId(number: number): { epoch: bigint; number: bigint } {
  return { epoch: 1_794_000_000n, number: BigInt(number) };
}
