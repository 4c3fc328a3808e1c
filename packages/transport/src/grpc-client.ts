// SPDX-License-Identifier: Apache-2.0
// A typed grpc-js client from a protobuf-es service description, on a connection of its own.

import type {
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageShape,
} from "@bufbuild/protobuf";
import {
  type CallOptions,
  type ChannelCredentials,
  type ChannelOptions,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientWritableStream,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { toGrpcMethod } from "./grpc-definition.ts";
import { failureFromGrpc } from "./grpc-errors.ts";

/** Where a client dials to. */
export interface GrpcChannel {
  /** "host:port". */
  readonly address: string;
  readonly credentials: ChannelCredentials;
  readonly options: ChannelOptions;
}

export interface GrpcChannelSettings {
  /** "http://host:port" (plain) or "https://host:port" (TLS). */
  readonly url: string;
  /** Certificates to trust instead of the system's, PEM. */
  readonly caPem?: string | Buffer;
  /**
   * HTTP proxy to tunnel through by CONNECT, "http://[user:password@]host:port". Absence means what
   * the environment says (`https_proxy`, `http_proxy`, `grpc_proxy`, `no_proxy`).
   */
  readonly proxyUrl?: string;
  /** Time between keepalive pings. Absence means 20 s; an unanswered one ends the connection in 10 s. */
  readonly keepaliveMs?: number;
  /** Largest message taken, in bytes. Absence means 4 MiB. */
  readonly maxMessageBytes?: number;
}

const defaultKeepaliveMs = 20_000;
const keepaliveTimeoutMs = 10_000;
const defaultMaxMessageBytes = 4 * 1024 * 1024;

/** Reads the settings of a channel; throws a TypeError that names what is wrong with the URL. */
export function grpcChannelFor(settings: GrpcChannelSettings): GrpcChannel {
  const url = new URL(settings.url);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new TypeError(`address ${settings.url} must begin with http:// or https://`);
  }
  if ((url.pathname !== "/" && url.pathname !== "") || url.search !== "") {
    throw new TypeError(`address ${settings.url} must be a host and port alone, without a path`);
  }
  const secure = url.protocol === "https:";
  const port = url.port === "" ? (secure ? "443" : "80") : url.port;
  const target = `${url.hostname}:${port}`;
  const maxMessage = settings.maxMessageBytes ?? defaultMaxMessageBytes;
  const options: ChannelOptions = {
    // One connection per client: the default pool would join all agents of a process in one.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.keepalive_time_ms": settings.keepaliveMs ?? defaultKeepaliveMs,
    "grpc.keepalive_timeout_ms": keepaliveTimeoutMs,
    "grpc.keepalive_permit_without_calls": 0,
    "grpc.max_receive_message_length": maxMessage,
    "grpc.max_send_message_length": maxMessage,
    "grpc.enable_retries": 0,
    "grpc.enable_channelz": 0,
    "grpc.service_config_disable_resolution": 1,
  };
  const root = settings.caPem === undefined ? null : Buffer.from(settings.caPem);
  const channelCredentials = secure ? credentials.createSsl(root) : credentials.createInsecure();
  if (settings.proxyUrl === undefined) {
    return { address: target, credentials: channelCredentials, options };
  }
  const proxy = new URL(settings.proxyUrl);
  const user = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return {
    address: `${proxy.hostname}:${proxy.port === "" ? "3128" : proxy.port}`,
    credentials: channelCredentials,
    options: {
      ...options,
      "grpc.enable_http_proxy": 0,
      "grpc.http_connect_target": `dns:${target}`,
      "grpc.default_authority": target,
      ...(proxy.username === "" ? {} : { "grpc.http_connect_creds": user }),
    },
  };
}

export interface GrpcCallOptions {
  readonly metadata?: Metadata;
  /** How long the call may take. Absence means without end for streams, 10 s for unary calls. */
  readonly timeoutMs?: number;
}

type ClientMethod<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, options?: GrpcCallOptions) => Promise<MessageShape<O>>
    : M extends DescMethodClientStreaming<infer I, infer O>
      ? (options?: GrpcCallOptions) => {
          readonly call: ClientWritableStream<MessageShape<I>>;
          readonly response: Promise<MessageShape<O>>;
        }
      : M extends DescMethodServerStreaming<infer I, infer O>
        ? (
            request: MessageShape<I>,
            options?: GrpcCallOptions,
          ) => ClientReadableStream<MessageShape<O>>
        : M extends DescMethodBiDiStreaming<infer I, infer O>
          ? (options?: GrpcCallOptions) => ClientDuplexStream<MessageShape<I>, MessageShape<O>>
          : never;

/**
 * A client with the service's methods by their local names. Promises reject with a RemexError; streams
 * emit "error" with a grpc-js ServiceError, which `failureFromGrpc` reads.
 */
export type GrpcClient<Service extends DescService> = {
  readonly [Name in keyof Service["method"]]: ClientMethod<Service["method"][Name]>;
} & {
  /** Drops the connection and every call on it. */
  close(): void;
};

const defaultUnaryTimeoutMs = 10_000;

/** Builds a client. It dials at its first call. */
export function grpcClientFor<Service extends DescService>(
  service: Service,
  channel: GrpcChannel,
): GrpcClient<Service> {
  const client = new Client(channel.address, channel.credentials, channel.options);
  const methods: Record<string, unknown> = { close: () => client.close() };
  for (const method of service.methods) methods[method.localName] = clientMethod(client, method);
  return methods as GrpcClient<Service>;
}

function clientMethod(client: Client, method: DescMethod): unknown {
  const { path, requestSerialize, responseDeserialize } = toGrpcMethod(method);
  const kind = method.methodKind;
  switch (kind) {
    case "unary":
      return (request: never, options?: GrpcCallOptions) =>
        new Promise((resolve, reject) => {
          const call = callOptions(options, defaultUnaryTimeoutMs);
          client.makeUnaryRequest(
            path,
            requestSerialize,
            responseDeserialize,
            request,
            metadataOf(options),
            call,
            (error, value) => (error === null ? resolve(value) : reject(failureFromGrpc(error))),
          );
        });
    case "client_streaming":
      return (options?: GrpcCallOptions) => {
        const { promise, resolve, reject } = Promise.withResolvers();
        const done = (error: ServiceError | null, value?: unknown) =>
          error === null ? resolve(value) : reject(failureFromGrpc(error));
        const call = client.makeClientStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          metadataOf(options),
          callOptions(options),
          done,
        );
        return { call, response: promise };
      };
    case "server_streaming":
      return (request: never, options?: GrpcCallOptions) =>
        client.makeServerStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          metadataOf(options),
          callOptions(options),
        );
    case "bidi_streaming":
      return (options?: GrpcCallOptions) =>
        client.makeBidiStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          metadataOf(options),
          callOptions(options),
        );
    default:
      return kind satisfies never;
  }
}

function metadataOf(options: GrpcCallOptions | undefined): Metadata {
  return options?.metadata ?? new Metadata();
}

function callOptions(options: GrpcCallOptions | undefined, defaultMs?: number): CallOptions {
  const timeoutMs = options?.timeoutMs ?? defaultMs;
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
}
