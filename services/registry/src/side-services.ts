// SPDX-License-Identifier: Apache-2.0
// What a registry serves beside session streams: forwarded requests, logs and the view of agents.
import type { Client } from "@connectrpc/connect";
import type { AgentSessionService } from "@remex/proto/agent/v1";
import type { AgentService } from "@remex/proto/registry/v1";
import type { Clock, Logger } from "@remex/runtime";
import type { ReplicaRecord, SessionStore, TaskStore } from "@remex/store";
import type { GrpcServiceHandlers } from "@remex/transport";
import { createAgentHandlers } from "./agents/agent-handlers.ts";
import { type AgentWatches, createAgentWatches } from "./agents/agent-watches.ts";
import { createApiConnections } from "./forward/api-connections.ts";
import { createAttemptGate } from "./forward/attempt-gate.ts";
import { createForward } from "./forward/forward-call.ts";
import { createLogFetches } from "./logs/log-fetches.ts";
import { createLogReader } from "./logs/log-reader.ts";
import type { AgentManagement } from "./management/agent-management.ts";
import type { DeploymentConfigs } from "./session/deployment-configs.ts";
import type { LiveSessions } from "./session/live-sessions.ts";
import { createSideCalls } from "./session/side-calls.ts";

export interface SideServicesDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly live: LiveSessions;
  readonly sessions: Pick<SessionStore, "load" | "list" | "get">;
  readonly configs: DeploymentConfigs;
  readonly tasks: Pick<TaskStore, "readAttempt">;
  readonly management: AgentManagement;
  listReplicas(role: string): Promise<ReplicaRecord[]>;
  peerAgents(address: string): Pick<Client<typeof AgentService>, "readTaskLog">;
}

export interface SideServices {
  /** Calls of agents. */
  readonly sideCalls: Pick<GrpcServiceHandlers<typeof AgentSessionService>, "forward" | "sendLog">;
  /** AgentService. */
  readonly agents: ReturnType<typeof createAgentHandlers>;
  readonly watches: AgentWatches;
  close(): void;
}

export function createSideServices(deps: SideServicesDeps): SideServices {
  const { clock, log, live, sessions, configs, tasks } = deps;
  const authenticate = createSideCalls({ live, sessions, clock });
  const fetches = createLogFetches(clock, authenticate);
  const watches = createAgentWatches({ sessions, clock });
  const connections = createApiConnections();
  const gate = createAttemptGate({ tasks, clock });
  const forward = createForward({
    ...{ authenticate, gate, connections, clock, log },
    loadConfig: configs.load,
  });
  const agents = createAgentHandlers({
    ...{ sessions, watches, management: deps.management },
    readLog: createLogReader({ ...deps, fetches }),
    deploymentExists: async (deployment) => (await configs.load(deployment)) !== undefined,
  });
  const sideCalls = { forward, sendLog: fetches.sendLog };
  return { sideCalls, agents, watches, close: connections.close };
}
