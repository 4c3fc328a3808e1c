// SPDX-License-Identifier: Apache-2.0
// The gateway as a role: its public port and the ways to the services behind it.

import type { IncomingMessage } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import { createContextValues } from "@connectrpc/connect";
import { createGateway, peerAddressKey } from "@remex/gateway";
import { formatAddress } from "@remex/runtime";
import { addHealthRoutes, type RunningServer, serveConnect } from "@remex/transport";
import { softwareVersion } from "../software-version.ts";
import type { Role, RoleContext } from "./role.ts";

/** How long calls may go on after the process was told to stop. */
const graceMs = 3_000;

export function createGatewayRole(context: RoleContext): Role {
  const { clock, log, metrics, peers, readiness } = context;
  const gateway = createGateway({
    records: context.records,
    upstreams: {
      registry: peers.transportTo("registry", "gateway"),
      scheduler: peers.transportTo("scheduler", "gateway"),
      token: peers.transportTo("token", "gateway"),
    },
    listReplicas: context.listReplicas,
    epoch: () => context.store.epoch.current(),
    problems: () => Object.values(readiness.report().problems),
    softwareVersion,
    clock,
    log,
  });
  let door: RunningServer | undefined;
  return {
    role: "gateway",
    routes: gateway.routes,
    start: async () => {
      door = await serveConnect({
        listen: context.config.gatewayListen,
        flag: "--gateway-listen",
        routes: (router) => {
          gateway.publicRoutes(router);
          const services = [...new Set(router.handlers.map(({ service }) => service.typeName))];
          addHealthRoutes(router, { readiness, services });
        },
        contextValues: (request) =>
          createContextValues().set(peerAddressKey, peerAddressOf(request)),
        clock,
        log,
        metrics,
      });
      gateway.start();
      return { gateway: `http://${formatAddress(door.address)}` };
    },
    stop: async () => {
      await door?.close(graceMs);
      await gateway.stop();
    },
    problems: () => [],
  };
}

/** The socket's peer: nothing that a header says counts without a trusted proxy (SEC-N1). */
function peerAddressOf(request: IncomingMessage | Http2ServerRequest): string {
  const address = request.socket.remoteAddress ?? "";
  return address.startsWith("::ffff:") ? address.slice("::ffff:".length) : address;
}
