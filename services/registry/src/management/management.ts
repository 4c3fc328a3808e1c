// SPDX-License-Identifier: Apache-2.0
// The registry's management of deployments, queues and agents: the services and the sweep of what they record.

import type { ConnectRouter } from "@connectrpc/connect";
import {
  BrakeService,
  DeploymentService,
  GroupService,
  QueueService,
} from "@remex/proto/registry/v1";
import type { Records } from "@remex/records";
import type { Clock, Logger } from "@remex/runtime";
import type { DeploymentStore, SessionStore, TaskStore } from "@remex/store";
import { type AgentManagement, createAgentManagement } from "./agent-management.ts";
import { createBrakeHandlers } from "./brake-handlers.ts";
import { createDeploymentHandlers } from "./deployment-handlers.ts";
import { createGroupHandlers } from "./group-handlers.ts";
import { createProjector } from "./projector.ts";
import { createQueueHandlers } from "./queue-handlers.ts";

export interface ManagementDeps {
  readonly records: Pick<Records, "deployments" | "queues" | "agentControls">;
  readonly store: DeploymentStore;
  readonly tasks: Pick<TaskStore, "depths">;
  readonly sessions: Pick<
    SessionStore,
    | "list"
    | "get"
    | "declareGone"
    | "loadControlsMarker"
    | "projectControls"
    | "readBrakes"
    | "releaseBrake"
    | "extendBrake"
  >;
  /** Epoch of the store; empty while it is not known. */
  epoch(): string;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Management {
  routes(router: ConnectRouter): void;
  /** The operators' part of AgentService. */
  readonly agents: AgentManagement;
  /** Begins to sweep, at once and every 5 s. */
  start(): void;
  stop(): void;
  /** Projects everything now, for example when Redis has come back. */
  sweep(): Promise<void>;
  /** Why deployments may not be in effect; empty when nothing keeps them from it. */
  problems(): readonly string[];
}

export function createManagement(deps: ManagementDeps): Management {
  const projector = createProjector(deps);
  return {
    routes: (router) => {
      router.service(DeploymentService, createDeploymentHandlers({ ...deps, projector }));
      router.service(QueueService, createQueueHandlers({ ...deps, projector }));
      router.service(BrakeService, createBrakeHandlers(deps));
      router.service(GroupService, createGroupHandlers({ ...deps, projector }));
    },
    agents: createAgentManagement({ ...deps, projector }),
    start: projector.start,
    stop: projector.stop,
    sweep: projector.sweep,
    problems: projector.problems,
  };
}
