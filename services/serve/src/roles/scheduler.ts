// SPDX-License-Identifier: Apache-2.0
// The scheduler as a role: its links to monitors, its signals and its metrics.

import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { AuditService } from "@remex/proto/gateway/v1";
import { HealthLinkService } from "@remex/proto/health/v1";
import { SchedulerLinkService } from "@remex/proto/scheduler/v1";
import type { Metrics } from "@remex/runtime";
import { createScheduler, type SchedulerMetrics, verdictHello } from "@remex/scheduler";
import { subscribeSignals } from "@remex/store";
import { dialLink, serviceKeyInterceptor } from "@remex/transport";
import type { Role, RoleContext } from "./role.ts";

export function createSchedulerRole(context: RoleContext): Role {
  const { replica, clock, log, localLinks } = context;
  const hello = verdictHello(replica);
  const method = HealthLinkService.method.verdictLink;
  const audit = createClient(AuditService, context.peers.transportTo("gateway", "scheduler"));
  const scheduler = createScheduler({
    replica,
    tasks: context.tasks,
    sessions: context.sessions,
    listDeployments: () => context.deployments.list(),
    epoch: () => context.store.epoch.current(),
    monitors: {
      list: async () => {
        const replicas = await context.listReplicas("health-monitor");
        return replicas.map(({ replica: id, address }) => ({ id, address }));
      },
      dial: localLinks.dialler({ replica, hello }, method, ({ id, address }, signal) =>
        dialLink({
          method,
          baseUrl: address,
          peer: id,
          hello,
          clock,
          signal,
          interceptors: [serviceKeyInterceptor("scheduler", context.serviceKey)],
        }),
      ),
    },
    appendAudit: async (notes) => {
      await audit.appendAuditEntries({
        entries: notes.map(({ atMs, ...note }) => ({ ...note, at: timestampFromMs(atMs) })),
      });
    },
    clock,
    log,
    metrics: createSchedulerMetrics(context.metrics),
  });
  localLinks.serve(replica, SchedulerLinkService.method.link, scheduler.acceptLink);
  return {
    role: "scheduler",
    routes: scheduler.routes,
    start: async () => {
      subscribeSignals(context.connections.subscriptions, scheduler.signals, (channel, err) => {
        log.warn({ channel, err }, "a signal was not understood");
      });
      scheduler.start();
      return {};
    },
    stop: async () => scheduler.stop(),
    problems: scheduler.problems,
  };
}

function createSchedulerMetrics(metrics: Metrics): SchedulerMetrics {
  const calls = metrics.histogram(
    "scheduler_store_call_seconds",
    "Duration of batched store calls, by kind.",
    ["kind"],
  );
  const items = metrics.counter(
    "scheduler_store_items_total",
    "Items that batched store calls carried, by kind.",
    ["kind"],
  );
  const tasks = metrics.gauge("tasks", "Tasks by deployment and state.", ["deployment", "state"]);
  const waiting = metrics.gauge("queue_depth", "Waiting tasks by deployment and queue.", [
    "deployment",
    "queue",
  ]);
  const refused = metrics.counter(
    "scheduler_refused_reports_total",
    "Reports refused because their attempt was not current, or contradicted one taken, by verdict.",
    ["verdict"],
  );
  const wasted = metrics.counter(
    "scheduler_wasted_run_seconds_total",
    "Run time of attempts whose reports were refused, by verdict.",
    ["verdict"],
  );
  const attached = metrics.gauge("scheduler_agents", "Agents attached to this scheduler.");
  return {
    call: (kind, count, durationMs) => {
      calls.observe({ kind }, durationMs / 1000);
      items.inc({ kind }, count);
    },
    tasks: (deployment, states, queues) => {
      for (const [state, count] of states) tasks.set({ deployment, state }, count);
      for (const [queue, count] of queues) waiting.set({ deployment, queue }, count);
    },
    refused: (verdict, ranMs) => {
      refused.inc({ verdict });
      wasted.inc({ verdict }, ranMs / 1000);
    },
    attached: (agents) => attached.set(agents),
  };
}
