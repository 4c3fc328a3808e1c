// SPDX-License-Identifier: Apache-2.0
// The typed clients of everything that a gateway serves to people and programs.

import { type Client, createClient, type Transport } from "@connectrpc/connect";
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
import { type Pacing, realPacing } from "./pacing.ts";
import { createRemexTransport, type KeyProvider } from "./remex-transport.ts";
import { defaultRepeatPolicy, type RepeatPolicy } from "./repeat-call.ts";

export interface RemexClient {
  readonly deployments: Client<typeof DeploymentService>;
  readonly queues: Client<typeof QueueService>;
  readonly agents: Client<typeof AgentService>;
  readonly groups: Client<typeof GroupService>;
  readonly brakes: Client<typeof BrakeService>;
  readonly tasks: Client<typeof TaskService>;
  readonly agentTokens: Client<typeof AgentTokenService>;
  readonly operatorKeys: Client<typeof OperatorKeyService>;
  readonly login: Client<typeof LoginService>;
  readonly audit: Client<typeof AuditService>;
  readonly status: Client<typeof StatusService>;
  /** For the functions of this package that wait. */
  readonly pacing: Pacing;
}

export interface RemexClientOptions {
  /** Default: no key; then only calls that need none are answered. */
  readonly key?: KeyProvider;
  /** For a unary call with all its repetitions; default 30 s. */
  readonly timeoutMs?: number;
  /** For calls whose repetition is safe; others are made once. */
  readonly repeat?: Partial<RepeatPolicy>;
  /** For tests. */
  readonly pacing?: Pacing;
}

const defaultTimeoutMs = 30_000;

/**
 * Builds the clients over any Connect transport to a gateway: `@connectrpc/connect-node` in programs,
 * `@connectrpc/connect-web` in browsers. Every failure is thrown as a RemexCallError.
 */
export function createRemexClient(
  transport: Transport,
  options: RemexClientOptions = {},
): RemexClient {
  const pacing = options.pacing ?? realPacing;
  const calls = createRemexTransport(transport, {
    key: options.key ?? (() => undefined),
    timeoutMs: options.timeoutMs ?? defaultTimeoutMs,
    repeat: { ...defaultRepeatPolicy, ...options.repeat },
    pacing,
  });
  return {
    deployments: createClient(DeploymentService, calls),
    queues: createClient(QueueService, calls),
    agents: createClient(AgentService, calls),
    groups: createClient(GroupService, calls),
    brakes: createClient(BrakeService, calls),
    tasks: createClient(TaskService, calls),
    agentTokens: createClient(AgentTokenService, calls),
    operatorKeys: createClient(OperatorKeyService, calls),
    login: createClient(LoginService, calls),
    audit: createClient(AuditService, calls),
    status: createClient(StatusService, calls),
    pacing,
  };
}
