// SPDX-License-Identifier: Apache-2.0
// The public door of @remex/transport: names only, no code.

export {
  connectErrorOf,
  errorDetailOf,
  failureFromConnect,
  failureFromDetail,
} from "./connect-errors.ts";
export {
  createLinkHandler,
  type DialLinkOptions,
  dialLink,
  type EventOf,
  type LinkHandlerOptions,
  maxLinkFrameBytes,
} from "./connect-link.ts";
export {
  createFrameWriter,
  defaultFrameBounds,
  type FrameWriter,
  type FrameWriterOptions,
  type WritableFrames,
} from "./frame-writer.ts";
export {
  type GrpcCallOptions,
  type GrpcChannel,
  type GrpcChannelSettings,
  type GrpcClient,
  grpcChannelFor,
  grpcClientFor,
} from "./grpc-client.ts";
export {
  type GrpcMethodHandler,
  type GrpcServiceHandlers,
  toGrpcDefinition,
  toGrpcMethod,
} from "./grpc-definition.ts";
export { failureFromGrpc, grpcStatusOf } from "./grpc-errors.ts";
export {
  endGrpcStream,
  type GrpcServices,
  maxMessageBytes,
  peerAddressOf,
  type RunningServer,
  type ServeGrpcOptions,
  serveGrpc,
} from "./grpc-server.ts";
export { internalFailure } from "./internal-failure.ts";
export {
  defaultLinkBounds,
  defaultLinkTimings,
  type FrameLink,
  type LinkBounds,
  type LinkCloseCode,
  LinkClosed,
  type LinkTimings,
} from "./link.ts";
export { createInProcessLinkPair, type LocalLinkPair } from "./local-link.ts";
export { createLocalLinks, type LocalLinks } from "./local-links.ts";
export {
  createManagedLinks,
  type LinkTarget,
  type ManagedLinks,
  type ManagedLinksOptions,
} from "./managed-links.ts";
