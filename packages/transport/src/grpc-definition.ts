// SPDX-License-Identifier: Apache-2.0
// Service descriptions of protobuf-es in the form that grpc-js takes.

import {
  type DescMessage,
  type DescMethod,
  type DescMethodBiDiStreaming,
  type DescMethodClientStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type {
  MethodDefinition,
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
} from "@grpc/grpc-js";

/** Builds the grpc-js definition of a service; methods are keyed by their local (camel case) names. */
export function toGrpcDefinition(service: DescService): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map((method) => [method.localName, toGrpcMethod(method)]),
  ) as ServiceDefinition;
}

/** Builds the grpc-js definition of one method. */
export function toGrpcMethod<I extends DescMessage, O extends DescMessage>(
  method: DescMethod & { readonly input: I; readonly output: O },
): MethodDefinition<MessageShape<I>, MessageShape<O>> {
  const { input, output } = method;
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream:
      method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
    responseStream:
      method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
    requestSerialize: (message) => bufferOf(toBinary(input, message)),
    requestDeserialize: (bytes) => fromBinary(input, bytes),
    responseSerialize: (message) => bufferOf(toBinary(output, message)),
    responseDeserialize: (bytes) => fromBinary(output, bytes),
    originalName: method.localName,
  };
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** What implements one method on a grpc-js server; what it throws is answered as a status. */
export type GrpcMethodHandler<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (call: ServerUnaryCall<MessageShape<I>, MessageShape<O>>) => Promise<MessageShape<O>>
    : M extends DescMethodClientStreaming<infer I, infer O>
      ? (call: ServerReadableStream<MessageShape<I>, MessageShape<O>>) => Promise<MessageShape<O>>
      : M extends DescMethodServerStreaming<infer I, infer O>
        ? (call: ServerWritableStream<MessageShape<I>, MessageShape<O>>) => Promise<void> | void
        : M extends DescMethodBiDiStreaming<infer I, infer O>
          ? (call: ServerDuplexStream<MessageShape<I>, MessageShape<O>>) => Promise<void> | void
          : never;

/** What implements a service on a grpc-js server. A method left out is answered UNIMPLEMENTED. */
export type GrpcServiceHandlers<Service extends DescService> = {
  readonly [Name in keyof Service["method"]]?: GrpcMethodHandler<Service["method"][Name]>;
};
