// SPDX-License-Identifier: Apache-2.0
// The scheduler: takes tasks in, offers them to agents, confirms starts, settles results.

import type { ConnectRouter } from "@connectrpc/connect";
import {
  type RegistryEvent,
  type SchedulerEvent,
  SchedulerLinkService,
  TaskService,
} from "@remex/proto/scheduler/v1";
import type { Clock, Logger } from "@remex/runtime";
import {
  type CancelAnswer,
  channels,
  type HeldAttempt,
  type SessionRecord,
  type SessionStore,
  type TaskStore,
} from "@remex/store";
import { createLinkHandler, type FrameLink, maxSubmitBytes } from "@remex/transport";
import { createChangeFeed } from "./change-feed.ts";
import { DeploymentTurns } from "./deployment-turns.ts";
import { Outbox } from "./outbox.ts";
import { type AuditNote, createRefusedReports } from "./refused-reports.ts";
import { createQuarantineWatch } from "./quarantine-watch.ts";
import { createRegistryLinks } from "./registry-links.ts";
import { noMetrics, type SchedulerMetrics } from "./scheduler-metrics.ts";
import { createStoreHealth } from "./store-health.ts";
import { createSweeps, type Sweeps } from "./sweeps.ts";
import { createTaskHandlers, toldAttempts } from "./task-handlers.ts";
import { cancelEvent, inventoryRequestEvent, withdrawEvent } from "./tell-wire.ts";
import { createVerdictLinks, type MonitorPeers } from "./verdict-links.ts";

export interface SchedulerDeps {
  /** Id of this replica. */
  readonly replica: string;
  readonly tasks: TaskStore;
  readonly sessions: Pick<
    SessionStore,
    "readGiveups" | "clearGiveups" | "countStaleReports" | "list"
  >;
  /** All deployments, as the store lists them. */
  listDeployments(): Promise<readonly string[]>;
  /** Epoch of the store. */
  epoch(): string;
  readonly monitors: MonitorPeers;
  /** Appends to the audit, which another service owns; absent where there is none. */
  appendAudit?(notes: readonly AuditNote[]): Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: SchedulerMetrics;
}

export interface Scheduler {
  /** A registry's link; also called directly by a registry of the same process. */
  acceptLink(link: FrameLink<RegistryEvent, SchedulerEvent>): void;
  /** Adds TaskService and SchedulerLinkService to a Connect server. */
  routes(router: ConnectRouter): void;
  /** What to do with messages of the store's channels: pass to `subscribeSignals`. */
  readonly signals: Readonly<Record<string, (message: unknown) => void>>;
  start(): void;
  stop(): void;
  /** What keeps it from working, as sentences; empty when nothing does. */
  problems(): readonly string[];
  /** Sweeps at once, for tests. */
  readonly sweepOnce: Sweeps["sweepOnce"];
  readonly slowOnce: Sweeps["slowOnce"];
  /** Counts since the start, for metrics. */
  counts(): { readonly links: number; readonly malformedEvents: number };
}

/** Agents that an explanation looks at. */
const agentsPerCall = 500;
const mostAgents = 10_000;

/** A wake-up as the store's functions publish it. */
interface WakeMessage {
  readonly deployment: string;
  readonly lanes?: readonly string[];
  readonly giveup?: boolean;
  readonly cancels?: readonly string[];
  /** Agents whose attempts were superseded: they are asked what they hold. */
  readonly inventories?: readonly string[];
}

export function createScheduler(deps: SchedulerDeps): Scheduler {
  const { replica, tasks, clock, log } = deps;
  const metrics = deps.metrics ?? noMetrics;
  const health = createStoreHealth(log);
  const deployments = new Map<string, DeploymentTurns>();
  const refused = createRefusedReports({ ...deps, metrics });
  const feed = createChangeFeed({ tasks, epoch: deps.epoch, clock });
  const links = createRegistryLinks({
    scheduler: replica,
    turnsOf,
    log,
    onAttached: (agents) => metrics.attached(agents),
  });
  const quarantine = createQuarantineWatch({
    ...deps,
    agentsOf: (deployment) => deployments.get(deployment)?.agents,
    ask: (deployment, agent, session, epoch) =>
      tell(deployment, agent, session, inventoryRequestEvent("epoch_changed", epoch)),
  });
  const sweeps = createSweeps({
    ...deps,
    metrics,
    existingTurns: (deployment) => deployments.get(deployment),
    tellCancels,
    askInventory: (deployment, agent, session) =>
      tell(deployment, agent, session, inventoryRequestEvent("kills_open")),
    reviewQuarantine: quarantine.review,
    forwardRefused: refused.forward,
    onChanged: feed.note,
    onStore: health.note,
  });
  const verdicts = createVerdictLinks({
    ...deps,
    onEnded: (deployment) => void sweeps.giveUp(deployment),
  });

  function turnsOf(deployment: string): DeploymentTurns {
    let turns = deployments.get(deployment);
    if (turns === undefined) {
      turns = new DeploymentTurns({
        deployment,
        tasks,
        epoch: deps.epoch,
        linkOf: (agent, session) => links.linkOf(deployment, agent, session),
        clock,
        log,
        metrics,
        onRefused: (agent, report, verdict) => refused.note(deployment, agent, report, verdict),
        onChanged: () => feed.note(deployment),
        onStore: health.note,
      });
      deployments.set(deployment, turns);
    }
    return turns;
  }

  function tell(
    deployment: string,
    agent: string,
    session: string,
    event: Parameters<Outbox["tell"]>[1],
  ): void {
    const link = links.linkOf(deployment, agent, session);
    if (link === undefined) return;
    const outbox = new Outbox(deployment);
    outbox.tell({ link, agent, session }, event);
    outbox.flush();
  }

  function tellCancels(deployment: string, attempts: readonly HeldAttempt[]): void {
    for (const { agent, session, id, attempt } of attempts) {
      tell(deployment, agent, session, cancelEvent(id, attempt));
    }
  }

  function onCanceled(deployment: string, answers: readonly CancelAnswer[]): void {
    const { cancel, withdraw } = toldAttempts(answers);
    tellCancels(deployment, cancel);
    for (const { agent, session, id, attempt } of withdraw) {
      tell(deployment, agent, session, withdrawEvent(id, attempt, "canceled"));
    }
    feed.note(deployment);
    // What was queued or offered has left its place to others.
    deployments.get(deployment)?.wake();
  }

  async function listAgents(deployment: string): Promise<SessionRecord[]> {
    const found: SessionRecord[] = [];
    while (found.length < mostAgents) {
      const after = found.at(-1)?.agent ?? "";
      const { agents } = await deps.sessions.list(deployment, after, agentsPerCall);
      found.push(...agents);
      if (agents.length < agentsPerCall) break;
    }
    return found;
  }

  function onWake(message: unknown): void {
    const { deployment, lanes, giveup, cancels, inventories = [] } = message as WakeMessage;
    if (giveup === true) void sweeps.giveUp(deployment);
    const turns = deployments.get(deployment);
    if (turns === undefined) return;
    if (lanes !== undefined) turns.wake(lanes);
    for (const agent of inventories) {
      const session = turns.agents.get(agent)?.session ?? "";
      tell(deployment, agent, session, inventoryRequestEvent("superseded"));
    }
    if (cancels?.some((agent) => turns.agents.get(agent) !== undefined)) {
      void sweeps.repeatCancels(deployment);
    }
  }

  const handlers = createTaskHandlers({
    tasks,
    submit: (deployment, items) => turnsOf(deployment).submit(items),
    feed,
    listDeployments: deps.listDeployments,
    listAgents,
    onCanceled,
    clock,
  });

  return {
    acceptLink: links.accept,
    routes(router) {
      const method = SchedulerLinkService.method.link;
      const link = createLinkHandler({
        method,
        accept: (accepted) => links.accept(accepted),
        clock,
      });
      router.service(SchedulerLinkService, { link });
      router.service(TaskService, handlers, { readMaxBytes: maxSubmitBytes });
    },
    signals: {
      [channels.wake]: onWake,
      [channels.changes]: (message) => feed.note((message as { deployment: string }).deployment),
    },
    start() {
      sweeps.start();
      verdicts.start();
    },
    stop() {
      sweeps.stop();
      verdicts.stop();
      links.close();
    },
    problems: () => [health.problem, verdicts.problem()].filter((text) => text !== undefined),
    sweepOnce: sweeps.sweepOnce,
    slowOnce: sweeps.slowOnce,
    counts: () => ({ links: links.open, malformedEvents: links.malformed }),
  };
}
