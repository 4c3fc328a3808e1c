// SPDX-License-Identifier: Apache-2.0
// The health-monitor as a role, reachable by links from this process and from others.

import { createHealthMonitor } from "@remex/health-monitor";
import { HealthLinkService } from "@remex/proto/health/v1";
import type { Role, RoleContext } from "./role.ts";

export function createHealthMonitorRole(context: RoleContext): Role {
  const { replica, clock, log, metrics, sessions } = context;
  const monitor = createHealthMonitor({
    replica,
    sessions,
    listDeployments: () => context.deployments.list(),
    listReplicas: context.listReplicas,
    epoch: () => context.store.epoch.current(),
    clock,
    log,
    metrics,
  });
  const { beatLink, verdictLink } = HealthLinkService.method;
  context.localLinks.serve(replica, beatLink, monitor.acceptBeatLink);
  context.localLinks.serve(replica, verdictLink, monitor.acceptVerdictLink);
  return {
    role: "health-monitor",
    routes: monitor.routes,
    start: async () => {
      monitor.start();
      return {};
    },
    stop: async () => monitor.stop(),
    problems: monitor.problems,
  };
}
