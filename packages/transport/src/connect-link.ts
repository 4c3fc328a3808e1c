// SPDX-License-Identifier: Apache-2.0
// Links over Connect bidi streams: the dialling side and the serving side.

import {
  create,
  type DescMessage,
  type DescMethodBiDiStreaming,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import type { HandlerContext, Interceptor } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { remexError } from "@remex/domain";
import type { Clock } from "@remex/runtime";
import { failureFromConnect } from "./connect-errors.ts";
import { type FrameLink, type LinkBounds, LinkClosed, type LinkTimings } from "./link.ts";
import { createLinkEnd, type LinkEnd } from "./link-end.ts";

/** The type of a frame's events: every frame of a link has the one field `events`. */
export type EventOf<Desc extends DescMessage> =
  MessageShape<Desc> extends { events: (infer Event)[] } ? Event : never;

/** What the largest frame of a link may have: one event may carry a whole payload or inventory. */
export const maxLinkFrameBytes = 16 * 1024 * 1024;

export interface DialLinkOptions<I extends DescMessage, O extends DescMessage> {
  readonly method: DescMethodBiDiStreaming<I, O>;
  /** "http://host:port" of the other service's internal port. */
  readonly baseUrl: string;
  /** Name of the other end, for logs. */
  readonly peer: string;
  /** Events of the first frame: the link's hello. */
  readonly hello: readonly EventOf<I>[];
  readonly clock: Clock;
  /** Adds the service key; see `serviceKeyInterceptor`. */
  readonly interceptors?: Interceptor[];
  readonly timings?: LinkTimings;
  readonly bounds?: LinkBounds;
  /** How long the other end may take to answer the first frame. Absence means 5 s. */
  readonly connectTimeoutMs?: number;
  /** Gives the dial up. */
  readonly signal?: AbortSignal;
}

const defaultConnectTimeoutMs = 5_000;
/** How long the other end may take to end its side after we ended ours. */
const closeGraceMs = 1_000;

/**
 * Dials a link on a connection of its own. Settles when the first frame of the other end is in; rejects
 * with a RemexError when the other end refuses, cannot be reached or does not answer in time.
 */
export async function dialLink<I extends DescMessage, O extends DescMessage>(
  options: DialLinkOptions<I, O>,
): Promise<FrameLink<EventOf<O>, EventOf<I>>> {
  const { clock, method } = options;
  options.signal?.throwIfAborted();
  const session = new Http2SessionManager(options.baseUrl);
  const transport = createGrpcTransport({
    baseUrl: options.baseUrl,
    sessionManager: session,
    readMaxBytes: maxLinkFrameBytes,
    writeMaxBytes: maxLinkFrameBytes,
    acceptCompression: [],
    interceptors: options.interceptors ?? [],
  });
  const abort = new AbortController();
  const end = createLinkEnd<EventOf<O>, EventOf<I>>(endOptions(options));
  end.send(options.hello);
  const { promise: opened, resolve: resolveOpened } = Promise.withResolvers<void>();
  const giveUp = () => end.fail(new LinkClosed("closed_here", "the dial was given up"));
  options.signal?.addEventListener("abort", giveUp, { once: true });
  const timeoutMs = options.connectTimeoutMs ?? defaultConnectTimeoutMs;
  const cancelTimeout = clock.after(timeoutMs, () => {
    const cause = remexError("deadline_passed", { timeoutMs });
    end.fail(new LinkClosed("broken", `${options.peer} did not answer`, cause));
  });
  void end.closed.then((reason) => {
    cancelTimeout();
    options.signal?.removeEventListener("abort", giveUp);
    // In good order the stream is ended by `frames`; the connection is dropped when that is done.
    const dropMs =
      reason.code === "closed_here" || reason.code === "closed_by_peer" ? closeGraceMs : 0;
    clock.after(dropMs, () => {
      abort.abort(reason);
      session.abort(reason);
    });
  });
  const frames = framesOf(method.input, end);
  void transport
    .stream(method, abort.signal, undefined, undefined, frames)
    .then((response) => receiveFrames(response.message, end, resolveOpened))
    .catch((error: unknown) => end.fail(closedBecause(options.peer, error)));
  const failed = await Promise.race([opened, end.closed]);
  cancelTimeout();
  if (failed !== undefined) throw failed.cause ?? failed;
  return end;
}

export interface LinkHandlerOptions<I extends DescMessage, O extends DescMessage> {
  readonly method: DescMethodBiDiStreaming<I, O>;
  /** Takes a new link; it should set `onEvents` before it returns, and read the hello there. */
  accept(link: FrameLink<EventOf<I>, EventOf<O>>, context: HandlerContext): void;
  /** Names the other end for logs. */
  peerOf?(context: HandlerContext): string;
  readonly clock: Clock;
  readonly timings?: LinkTimings;
  readonly bounds?: LinkBounds;
}

/** Makes the implementation of a link's method: register it with the Connect router. */
export function createLinkHandler<I extends DescMessage, O extends DescMessage>(
  options: LinkHandlerOptions<I, O>,
): (
  requests: AsyncIterable<MessageShape<I>>,
  context: HandlerContext,
) => AsyncIterable<MessageInitShape<O>> {
  return (requests, context) => {
    const peer = options.peerOf?.(context) ?? context.requestHeader.get("remex-service") ?? "peer";
    const end = createLinkEnd<EventOf<I>, EventOf<O>>({
      ...endOptions({ ...options, peer }),
      greet: true,
    });
    context.signal.addEventListener("abort", () => {
      end.fail(closedBecause(peer, context.signal.reason));
    });
    options.accept(end, context);
    receiveFrames(requests, end, () => undefined).catch((error: unknown) =>
      end.fail(closedBecause(peer, error)),
    );
    return framesOf(options.method.output, end);
  };
}

function endOptions(options: {
  readonly peer: string;
  readonly clock: Clock;
  readonly timings?: LinkTimings;
  readonly bounds?: LinkBounds;
}) {
  return {
    peer: options.peer,
    clock: options.clock,
    ...(options.timings === undefined ? {} : { timings: options.timings }),
    ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
  };
}

async function* framesOf<Desc extends DescMessage>(
  schema: Desc,
  end: LinkEnd<unknown, EventOf<Desc>>,
): AsyncGenerator<MessageShape<Desc>> {
  for await (const events of end.frames()) {
    yield create(schema, { events } as unknown as MessageInitShape<Desc>);
  }
}

async function receiveFrames<Desc extends DescMessage>(
  frames: AsyncIterable<MessageShape<Desc>>,
  end: LinkEnd<EventOf<Desc>, unknown>,
  onFirst: () => void,
): Promise<void> {
  let first = true;
  for await (const frame of frames) {
    if (first) onFirst();
    first = false;
    end.received((frame as unknown as { events: EventOf<Desc>[] }).events);
  }
  end.fail(new LinkClosed("closed_by_peer", `${end.peer} closed the link`));
}

function closedBecause(peer: string, error: unknown): LinkClosed {
  if (error instanceof LinkClosed) return error;
  if (error === undefined) return new LinkClosed("closed_by_peer", `${peer} closed the link`);
  const failure = failureFromConnect(error);
  const refused = ["unauthenticated", "permission_denied", "unimplemented", "invalid_argument"];
  return refused.includes(failure.connectCode)
    ? new LinkClosed("refused", `${peer} refused the link: ${failure.message}`, failure)
    : new LinkClosed("broken", `the link to ${peer} broke: ${failure.message}`, failure);
}
