// SPDX-License-Identifier: Apache-2.0
// The gateway: the one door for people and programs, and the owner of the audit.

import type { ConnectRouter, Transport } from "@connectrpc/connect";
import { AuditService, LoginService, StatusService } from "@remex/proto/gateway/v1";
import {
  AgentService,
  BrakeService,
  DeploymentService,
  GroupService,
  QueueService,
} from "@remex/proto/registry/v1";
import { TaskService } from "@remex/proto/scheduler/v1";
import { AgentTokenService, OperatorKeyService } from "@remex/proto/token/v1";
import type { Records } from "@remex/records";
import type { Clock, Logger } from "@remex/runtime";
import type { ReplicaRecord } from "@remex/store";
import { createLocalTransport, maxSubmitBytes } from "@remex/transport";
import { type AuditWriter, createAuditWriter } from "./audit-writer.ts";
import { createDenialAudit } from "./denial-audit.ts";
import { createKeyVerifier } from "./key-verifier.ts";
import { addOwnServices } from "./own-services.ts";
import { addPublicServices, type PublicService } from "./public-calls.ts";

export interface GatewayDeps {
  readonly records: Pick<Records, "audit">;
  /** How to reach the services that the calls are passed on to. */
  readonly upstreams: {
    readonly registry: Transport;
    readonly scheduler: Transport;
    readonly token: Transport;
  };
  /** Living replicas of a role; rejects when the store is away. */
  listReplicas(role: string): Promise<readonly ReplicaRecord[]>;
  /** Epoch of the store; empty when it is not known. */
  epoch(): string;
  /** What is wrong with this process, for people. */
  problems(): readonly string[];
  readonly softwareVersion: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Gateway {
  /** Services of the public port. */
  publicRoutes(router: ConnectRouter): void;
  /** Services of the internal port, for other services. */
  routes(router: ConnectRouter): void;
  start(): void;
  stop(): Promise<void>;
  readonly audit: Pick<AuditWriter, "waiting">;
}

export function createGateway(deps: GatewayDeps): Gateway {
  const { clock, log, upstreams } = deps;
  const verifier = createKeyVerifier({ token: upstreams.token, clock, log });
  const audit = createAuditWriter(deps);
  const denials = createDenialAudit({ write: audit.write, clock });
  const routes = (router: ConnectRouter): void => addOwnServices(router, deps);
  const own = createLocalTransport({ routes, role: "gateway", log });
  const services: readonly PublicService[] = [
    { service: DeploymentService, upstream: upstreams.registry },
    { service: QueueService, upstream: upstreams.registry },
    { service: AgentService, upstream: upstreams.registry },
    { service: GroupService, upstream: upstreams.registry },
    { service: BrakeService, upstream: upstreams.registry },
    { service: TaskService, upstream: upstreams.scheduler, readMaxBytes: maxSubmitBytes },
    { service: AgentTokenService, upstream: upstreams.token },
    { service: OperatorKeyService, upstream: upstreams.token },
    { service: LoginService, upstream: own },
    { service: StatusService, upstream: own },
    { service: AuditService, upstream: own },
  ];
  return {
    publicRoutes: (router) =>
      addPublicServices(router, { verifier, audit, denials, clock }, services),
    routes,
    start: verifier.start,
    stop: async () => {
      verifier.stop();
      denials.stop();
      await audit.stop();
    },
    audit,
  };
}
