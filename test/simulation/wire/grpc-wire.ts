// SPDX-License-Identifier: Apache-2.0
// What travels on a simulated gRPC connection, and where agents find a registry.

import type { Metadata, StatusObject } from "@grpc/grpc-js";
import type { DialRefused, Network, Socket } from "../engine/network.ts";
import type { SimProcess } from "../engine/world.ts";

export type GrpcSays =
  | { readonly kind: "frame"; readonly bytes: Buffer }
  | { readonly kind: "half_close" }
  | { readonly kind: "cancel" }
  | { readonly kind: "status"; readonly status: StatusObject };

export interface GrpcRequest {
  readonly path: string;
  readonly metadata: Metadata;
}

interface GrpcNetwork {
  readonly network: Network;
  /** What a load balancer or the name service would choose. */
  resolve(address: string, from: SimProcess): string;
}

let grpcNetwork: GrpcNetwork | undefined;

export function useGrpcNetwork(next: GrpcNetwork): void {
  grpcNetwork = next;
}

export function theGrpcNetwork(): GrpcNetwork {
  if (grpcNetwork === undefined) throw new Error("no network was given");
  return grpcNetwork;
}

export function dialGrpc(
  from: SimProcess,
  address: string,
  request: GrpcRequest,
  done: (result: Socket | DialRefused) => void,
): void {
  const { network, resolve } = theGrpcNetwork();
  network.dial(from, resolve(address, from), request, done);
}
