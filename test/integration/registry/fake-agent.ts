// SPDX-License-Identifier: Apache-2.0
// A small agent for tests of the registry: says what the test tells it to, and remembers what it hears.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type ClientDuplexStream, Metadata } from "@grpc/grpc-js";
import type { RemexError } from "@remex/domain";
import {
  AgentEventSchema,
  AgentSessionService,
  HelloSchema,
  RunnerState,
  type ServerEvent,
  type SessionRequest,
  SessionRequestSchema,
  type SessionResponse,
  type Welcome,
} from "@remex/proto/agent/v1";
import { AgentKind } from "@remex/proto/common/v1";
import { failureFromGrpc, type GrpcClient, grpcChannelFor, grpcClientFor } from "@remex/transport";
import { waitFor } from "../../kit/index.ts";

type PlainInit<Init> = Init extends { $typeName?: never } ? Init : never;
export type HelloInit = PlainInit<MessageInitShape<typeof HelloSchema>>;
type EventInit = NonNullable<MessageInitShape<typeof AgentEventSchema>["event"]>;

/** A hello that a worker with one slot might say. */
export function goodHello(agent: string, change: HelloInit = {}): HelloInit {
  return {
    protocolMin: 1,
    protocolMax: 1,
    agent,
    instance: new Uint8Array(16).fill(1),
    kind: AgentKind.WORKER,
    capabilities: { queues: ["default"], slots: 2, runtimes: ["noop"] },
    inventory: {},
    ...change,
  };
}

/** One stream of a fake agent. */
export interface FakeStream {
  readonly call: ClientDuplexStream<SessionRequest, SessionResponse>;
  readonly heard: ServerEvent[];
  /** What the stream ended with; undefined for a plain end. */
  readonly ended: Promise<RemexError | undefined>;
  /** The first event of this kind, waited for. */
  hear<Case extends ServerEvent["event"]["case"]>(
    kind: Case,
    which?: (value: Extract<ServerEvent["event"], { case: Case }>["value"]) => boolean,
  ): Promise<Extract<ServerEvent["event"], { case: Case }>["value"]>;
  /** Sends events under the session that Welcome named. */
  say(events: readonly EventInit[]): void;
  beat(sequence: number, change?: Extract<EventInit, { case: "beat" }>["value"]): void;
  welcome(): Promise<Welcome>;
}

/** A fake agent's connection to one registry. */
export interface FakeAgent {
  readonly client: GrpcClient<typeof AgentSessionService>;
  /** Opens a stream with the token and says hello. */
  open(token: string, hello: HelloInit): FakeStream;
  /** Opens a stream with a session's key and says hello. */
  resume(welcome: Welcome, hello: HelloInit, generation: number): FakeStream;
  /** Opens a stream without saying anything. */
  stream(metadata: Metadata): FakeStream;
  /** Cancels its streams and drops the connection. */
  close(): void;
}

export function createFakeAgent(target: string): FakeAgent {
  const channel = grpcChannelFor({ url: `http://${target}` });
  const client = grpcClientFor(AgentSessionService, channel);
  const streams: FakeStream[] = [];
  const start = (metadata: Metadata): FakeStream => {
    const stream = wrapStream(client.session({ metadata }));
    streams.push(stream);
    return stream;
  };
  const greet = (metadata: Metadata, hello: HelloInit): FakeStream => {
    const stream = start(metadata);
    const event = create(AgentEventSchema, {
      event: { case: "hello", value: create(HelloSchema, hello) },
    });
    stream.call.write(create(SessionRequestSchema, { events: [event] }));
    return stream;
  };
  return {
    client,
    open: (token, hello) => greet(tokenMetadata(token), hello),
    resume: (welcome, hello, generation) =>
      greet(sessionMetadata(welcome, hello.agent ?? ""), {
        ...hello,
        resume: {
          ...(welcome.session === undefined ? {} : { session: welcome.session }),
          generation: BigInt(generation),
        },
      }),
    stream: start,
    close() {
      for (const { call } of streams) call.cancel();
      client.close();
    },
  };
}

export function tokenMetadata(token: string): Metadata {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}

/** Metadata of resumes and side calls. */
export function sessionMetadata(welcome: Welcome, agent: string): Metadata {
  const metadata = new Metadata();
  const session = `${welcome.session?.epoch}.${welcome.session?.number}`;
  metadata.set("remex-session", `${welcome.deployment}/${agent}/${session}`);
  metadata.set("remex-session-key-bin", Buffer.from(welcome.sessionKey?.key ?? []));
  return metadata;
}

function wrapStream(call: ClientDuplexStream<SessionRequest, SessionResponse>): FakeStream {
  const heard: ServerEvent[] = [];
  const { promise: ended, resolve } = Promise.withResolvers<RemexError | undefined>();
  call.on("data", (frame: SessionResponse) => heard.push(...frame.events));
  call.on("error", (error: unknown) => resolve(failureFromGrpc(error)));
  call.on("end", () => resolve(undefined));
  const stream: FakeStream = {
    call,
    heard,
    ended,
    hear: (kind, which = () => true) =>
      waitFor(
        () => {
          for (const { event } of heard) {
            if (event.case === kind && which(event.value as never)) return event.value as never;
          }
          return undefined;
        },
        { what: `${kind} (heard ${heard.map(({ event }) => event.case).join(", ")})` },
      ) as never,
    welcome: () => stream.hear("welcome") as Promise<Welcome>,
    say(events) {
      const [first] = heard;
      if (first?.event.case !== "welcome") throw new Error("no welcome yet");
      const { session, generation } = first.event.value;
      const frame = create(SessionRequestSchema, {
        ...(session === undefined ? {} : { session }),
        generation,
        events: events.map((event) => create(AgentEventSchema, { event })),
      });
      call.write(frame);
    },
    beat: (sequence, change) =>
      stream.say([
        {
          case: "beat",
          value: {
            sequence: BigInt(sequence),
            loopTurns: BigInt(sequence),
            runnerState: RunnerState.READY,
            ...(change as object),
          },
        },
      ]),
  };
  return stream;
}
