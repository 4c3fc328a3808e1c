// SPDX-License-Identifier: Apache-2.0
// How one service calls another: a Connect transport with the service key, deadlines and our errors.

import type { DescMessage } from "@bufbuild/protobuf";
import type { Interceptor, Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import type { ServiceRole } from "./access.ts";
import { failureFromConnect } from "./connect-errors.ts";
import { maxLinkFrameBytes } from "./connect-link.ts";
import { type KeySource, serviceHeader, serviceKeyHeader } from "./service-key.ts";

/** Adds the service key and the caller's role to every call. */
export function serviceKeyInterceptor(role: ServiceRole, key: KeySource): Interceptor {
  return (next) => (request) => {
    request.header.set(serviceHeader, role);
    request.header.set(serviceKeyHeader, key().reveal());
    return next(request);
  };
}

export interface ServiceTransportOptions {
  /** "http://host:port" of the other service's internal port. */
  readonly baseUrl: string;
  /** Role of this service. */
  readonly role: ServiceRole;
  readonly key: KeySource;
  /** How long a unary call may take when the caller does not say. Absence means 10 s. */
  readonly defaultTimeoutMs?: number;
}

/** A transport that can be dropped with its connection. */
export interface ClosableTransport extends Transport {
  close(): void;
}

const defaultTimeoutMs = 10_000;
const pingIntervalMs = 10_000;
const pingTimeoutMs = 5_000;

/**
 * Opens a transport to a service; it connects at its first call. Errors are RemexErrors. To leave a
 * stream early, abort the call's signal: Connect's clients do not tell the server of a `break`.
 */
export function createServiceTransport(options: ServiceTransportOptions): ClosableTransport {
  const session = new Http2SessionManager(options.baseUrl, { pingIntervalMs, pingTimeoutMs });
  const transport = createGrpcTransport({
    baseUrl: options.baseUrl,
    sessionManager: session,
    readMaxBytes: maxLinkFrameBytes,
    acceptCompression: [],
    interceptors: [serviceKeyInterceptor(options.role, options.key)],
  });
  return {
    ...withRemexErrors(transport, options.defaultTimeoutMs ?? defaultTimeoutMs),
    close: () => session.abort(),
  };
}

/** Makes the calls of a transport reject with RemexErrors, and unary ones end in time. */
export function withRemexErrors(transport: Transport, unaryTimeoutMs: number): Transport {
  return {
    async unary(method, signal, timeoutMs, header, input, contextValues) {
      try {
        const timeout = timeoutMs ?? unaryTimeoutMs;
        return await transport.unary(method, signal, timeout, header, input, contextValues);
      } catch (error) {
        throw failureFromConnect(error);
      }
    },
    async stream<I extends DescMessage, O extends DescMessage>(
      ...call: Parameters<typeof transport.stream<I, O>>
    ) {
      try {
        const response = await transport.stream(...call);
        return { ...response, message: mapErrors(response.message) };
      } catch (error) {
        throw failureFromConnect(error);
      }
    },
  };
}

async function* mapErrors<Message>(messages: AsyncIterable<Message>): AsyncGenerator<Message> {
  try {
    yield* messages;
  } catch (error) {
    throw failureFromConnect(error);
  }
}
