// SPDX-License-Identifier: Apache-2.0
// The public door of @remex/transport: names only, no code.

export { accessOf, callerOf, mayCall, type ServiceRole, serviceRoles } from "./access.ts";
export { type CallObserverOptions, observeCalls } from "./call-metrics.ts";
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
export { addHealthRoutes, addHealthToGrpc, type HealthOptions } from "./health-service.ts";
export { internalFailure } from "./internal-failure.ts";
export {
  beatLinkTimings,
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
export { createLocalTransport, type LocalTransportOptions } from "./local-transport.ts";
export {
  createManagedLinks,
  type LinkTarget,
  type ManagedLinks,
  type ManagedLinksOptions,
} from "./managed-links.ts";
export { keyDeploymentHeader } from "./operator-headers.ts";
export { maxSubmitBytes, type ServeConnectOptions, serveConnect } from "./serve-connect.ts";
export {
  callerRoleKey,
  judgeServiceCall,
  type KeySource,
  type RequestGate,
  sameSecret,
  serviceHeader,
  serviceKeyGate,
  serviceKeyHeader,
} from "./service-key.ts";
export {
  type ClosableTransport,
  createServiceTransport,
  type ServiceTransportOptions,
  serviceKeyInterceptor,
  withRemexErrors,
} from "./service-transport.ts";
