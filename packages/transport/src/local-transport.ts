// SPDX-License-Identifier: Apache-2.0
// Calls between roles of one process: handlers are called directly, without sockets or serialisation.

import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  type DescService,
  isMessage,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  type ContextValues,
  createContextValues,
  createHandlerContext,
  type HandlerContext,
  type MethodImpl,
  type StreamResponse,
  type Transport,
  type UnaryResponse,
} from "@connectrpc/connect";
import { isRemexError, RemexError } from "@remex/domain";
import type { Logger } from "@remex/runtime";
import type { ServiceRole } from "./access.ts";
import { failureFromConnect } from "./connect-errors.ts";
import { internalFailure } from "./internal-failure.ts";
import { callerRoleKey, serviceHeader } from "./service-key.ts";

type CallHeader = Parameters<Transport["unary"]>[3];
type AnyImpl = (request: unknown, context: HandlerContext) => unknown;

export interface LocalTransportOptions {
  /** Registers the same services as the socket's server does. */
  routes(router: ConnectRouter): void;
  /** Role that the calls are made by, for handlers that ask. */
  readonly role: ServiceRole;
  readonly log: Logger;
  /** How long a unary call may take when the caller does not say. Absence means 10 s. */
  readonly defaultTimeoutMs?: number;
}

const defaultTimeoutMs = 10_000;

/**
 * A transport to services of this process. Messages are handed over as they are: neither side may
 * change one afterwards. Errors are RemexErrors as over a socket. No credential is checked: whoever
 * holds the transport is the service that it was made for.
 */
export function createLocalTransport(options: LocalTransportOptions): Transport {
  const handlers = collectHandlers(options.routes);

  function handlerOf(method: DescMethod): AnyImpl {
    const handler = handlers.get(method);
    if (handler !== undefined) return handler;
    const name = `${method.parent.typeName}/${method.name}`;
    throw new ConnectError(`${name} is not served in this process`, Code.Unimplemented);
  }

  function thrown(error: unknown, method: DescMethod): RemexError {
    if (isRemexError(error)) return error;
    if (error instanceof ConnectError || (error instanceof Error && error.name === "AbortError")) {
      return failureFromConnect(error);
    }
    const name = `${method.parent.typeName}/${method.name}`;
    return new RemexError(internalFailure(error, name, options.log), { cause: error });
  }

  function contextOf(
    method: DescMethod,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: CallHeader,
    contextValues: ContextValues | undefined,
  ) {
    const requestHeader = new Headers(header);
    requestHeader.set(serviceHeader, options.role);
    return createHandlerContext({
      service: method.parent,
      method,
      protocolName: "local",
      requestMethod: "POST",
      url: `local:/${method.parent.typeName}/${method.name}`,
      requestHeader,
      contextValues: (contextValues ?? createContextValues()).set(callerRoleKey, options.role),
      ...(signal === undefined ? {} : { requestSignal: signal }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
  }

  return {
    async unary<I extends DescMessage, O extends DescMessage>(
      method: DescMethodUnary<I, O>,
      signal: AbortSignal | undefined,
      timeoutMs: number | undefined,
      header: CallHeader,
      input: MessageInitShape<I>,
      contextValues?: ContextValues,
    ): Promise<UnaryResponse<I, O>> {
      const timeout = timeoutMs ?? options.defaultTimeoutMs ?? defaultTimeoutMs;
      const context = contextOf(method, signal, timeout, header, contextValues);
      try {
        const answer = handlerOf(method)(messageOf(method.input, input), context);
        const output = await untilAborted(Promise.resolve(answer), context.signal);
        return {
          stream: false,
          service: method.parent,
          method,
          header: context.responseHeader,
          trailer: context.responseTrailer,
          message: messageOf(method.output, output as MessageInitShape<O>),
        };
      } catch (error) {
        throw thrown(error, method);
      } finally {
        context.abort();
      }
    },
    async stream<I extends DescMessage, O extends DescMessage>(
      method: DescMethodStreaming<I, O>,
      signal: AbortSignal | undefined,
      timeoutMs: number | undefined,
      header: CallHeader,
      input: AsyncIterable<MessageInitShape<I>>,
      contextValues?: ContextValues,
    ): Promise<StreamResponse<I, O>> {
      const context = contextOf(method, signal, timeoutMs, header, contextValues);
      const handler = handlerOf(method);
      async function* respond(): AsyncGenerator<MessageShape<O>> {
        try {
          const requests = messagesOf(method.input, input);
          const answer = handler(
            method.methodKind === "server_streaming" ? await firstOf(requests) : requests,
            context,
          );
          if (method.methodKind === "client_streaming") {
            yield messageOf(method.output, (await answer) as MessageInitShape<O>);
            return;
          }
          yield* outputsOf(method.output, answer as AsyncIterable<MessageInitShape<O>>, context);
        } catch (error) {
          throw thrown(error, method);
        } finally {
          context.abort();
        }
      }
      return {
        stream: true,
        service: method.parent,
        method,
        header: context.responseHeader,
        trailer: context.responseTrailer,
        message: respond(),
      };
    },
  };
}

/** Runs the registrations against a router that only remembers them. */
function collectHandlers(routes: (router: ConnectRouter) => void): Map<DescMethod, AnyImpl> {
  const handlers = new Map<DescMethod, AnyImpl>();
  const router: ConnectRouter = {
    handlers: [],
    service(service: DescService, implementation: object) {
      for (const method of service.methods) {
        const impl = (implementation as Record<string, AnyImpl | undefined>)[method.localName];
        if (impl !== undefined) handlers.set(method, impl.bind(implementation));
      }
      return router;
    },
    rpc<M extends DescMethod>(method: M, impl: MethodImpl<M>) {
      handlers.set(method, impl as unknown as AnyImpl);
      return router;
    },
  };
  routes(router);
  return handlers;
}

function messageOf<Desc extends DescMessage>(
  schema: Desc,
  value: MessageInitShape<Desc>,
): MessageShape<Desc> {
  return isMessage(value, schema) ? (value as MessageShape<Desc>) : create(schema, value);
}

async function* messagesOf<Desc extends DescMessage>(
  schema: Desc,
  values: AsyncIterable<MessageInitShape<Desc>>,
): AsyncGenerator<MessageShape<Desc>> {
  for await (const value of values) yield messageOf(schema, value);
}

/** A handler's answers, until it ends or the call is over: a handler may be slow to notice. */
async function* outputsOf<Desc extends DescMessage>(
  schema: Desc,
  outputs: AsyncIterable<MessageInitShape<Desc>>,
  context: HandlerContext,
): AsyncGenerator<MessageShape<Desc>> {
  const iterator = outputs[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await untilAborted(Promise.resolve(iterator.next()), context.signal);
      if (next.done === true) return;
      yield messageOf(schema, next.value);
    }
  } finally {
    // Not awaited: a generator that waits for something takes its return only afterwards.
    iterator.return?.().catch(() => undefined);
  }
}

async function firstOf<Message>(messages: AsyncIterable<Message>): Promise<Message> {
  for await (const message of messages) return message;
  throw new ConnectError("the call has no request", Code.InvalidArgument);
}

/** A handler that ignores its signal must not hold its caller beyond the deadline. */
async function untilAborted<Value>(value: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([value, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
