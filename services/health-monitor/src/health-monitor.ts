// SPDX-License-Identifier: Apache-2.0
// The health-monitor: renews leases from relayed beats, acknowledges them, judges ages, tells verdicts.
import type { ConnectRouter } from "@connectrpc/connect";
import {
  type AgentBeat,
  type BeatLinkEvent,
  HealthLinkService,
  type MonitorEvent,
  type VerdictLinkEvent,
} from "@remex/proto/health/v1";
import type { Clock, Logger, Metrics } from "@remex/runtime";
import type { LeaseVerdict, ReplicaRecord, SessionStore } from "@remex/store";
import { beatLinkTimings, createLinkHandler, type FrameLink } from "@remex/transport";
import { createBeatBatcher } from "./beat-batcher.ts";
import { helloEvent, verdictEvent } from "./beat-wire.ts";
import { createBrakeAlarm } from "./brake-alarm.ts";
import { createLeaseScan, type LeaseScan } from "./lease-scan.ts";
import { createMonitorMetrics } from "./monitor-metrics.ts";
import { createRegistryView } from "./registry-view.ts";

export interface HealthMonitorDeps {
  /** Id of this replica. */
  readonly replica: string;
  readonly sessions: Pick<SessionStore, "renew" | "expire" | "forget">;
  /** All deployments, as the store lists them. */
  listDeployments(): Promise<readonly string[]>;
  /** The living replicas of a role. */
  listReplicas(role: string): Promise<readonly Pick<ReplicaRecord, "replica">[]>;
  /** Epoch of the store. */
  epoch(): string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export type BeatLink = FrameLink<BeatLinkEvent, MonitorEvent>;
export type VerdictLink = FrameLink<VerdictLinkEvent, MonitorEvent>;

export interface HealthMonitor {
  /** A registry's link; also called directly by a registry of the same process. */
  acceptBeatLink(link: BeatLink): void;
  /** A scheduler's link; also called directly by a scheduler of the same process. */
  acceptVerdictLink(link: VerdictLink): void;
  /** Adds HealthLinkService to a Connect server. */
  routes(router: ConnectRouter): void;
  start(): void;
  stop(): void;
  /** What keeps it from working, as sentences; empty when nothing does. */
  problems(): readonly string[];
  /** One scan at once, for tests. */
  readonly scanOnce: LeaseScan["scanOnce"];
  /** Counts since the start, for metrics. */
  counts(): { readonly links: number; readonly malformedBeats: number };
}

/** Every agent beats again within its interval: one line in a while tells as much as all of them. */
const complainEveryMs = 10_000;

export function createHealthMonitor(deps: HealthMonitorDeps): HealthMonitor {
  const { log, replica, clock } = deps;
  const links = new Set<FrameLink<never, MonitorEvent>>();
  const storeState = createStoreState(clock, log);
  const count = createMonitorMetrics(deps.metrics);

  function tellVerdicts(deployment: string, verdicts: readonly LeaseVerdict[]): void {
    const events = verdicts.map((verdict) => verdictEvent(deployment, verdict));
    for (const link of links) link.send(events);
    count.verdicts(verdicts);
    for (const { agent, session, health, reason } of verdicts) {
      const level = health === "HEALTHY" ? "info" : "warn";
      log[level]({ deployment, agent, session, reason }, `agent is ${health.toLowerCase()}`);
    }
  }

  const batcher = createBeatBatcher({
    renew: (deployment, beats) =>
      count.renewal(beats.length, clock, () => deps.sessions.renew(deployment, replica, beats)),
    epoch: deps.epoch,
    onVerdicts: tellVerdicts,
    onIdleBeat: count.idleBeat,
    onFailure: storeState.beatsNotTaken,
  });
  const view = createRegistryView({
    ...{ replica, clock },
    listRegistries: async () => (await deps.listReplicas("registry")).map((each) => each.replica),
  });
  const alarm = createBrakeAlarm(log, count.suspects);
  const scan = createLeaseScan({
    ...{ clock, listDeployments: deps.listDeployments },
    look: view.look,
    expire: (deployment, rows, seen) => deps.sessions.expire(deployment, rows, seen),
    forget: (deployment, rows) => deps.sessions.forget(deployment, rows),
    onVerdicts: tellVerdicts,
    onBrakes: alarm.seen,
    onClockJump(jumpMs) {
      count.clockJump();
      log.error({ jumpMs }, "the clock of redis jumped: time across the jump counts for no agent");
    },
    onScanned: storeState.works,
    onFailure: storeState.away,
  });

  function keep<In>(link: FrameLink<In, MonitorEvent>): void {
    links.add(link as FrameLink<never, MonitorEvent>);
    link.send([helloEvent(replica)]);
    void link.closed.then(() => links.delete(link as FrameLink<never, MonitorEvent>));
  }

  function acceptBeatLink(link: BeatLink): void {
    keep(link);
    link.onEvents((events) => {
      const beats: AgentBeat[] = [];
      for (const { event } of events) {
        if (event.case === "beat") beats.push(event.value);
        else if (event.case === "hello") view.named(link, event.value.registry);
      }
      if (beats.length > 0) batcher.add(link, beats);
    });
  }

  function acceptVerdictLink(link: VerdictLink): void {
    keep(link);
    // A scheduler says nothing but its hello.
    link.onEvents(() => undefined);
  }

  return {
    acceptBeatLink,
    acceptVerdictLink,
    routes: (router) => addHealthLinks(router, clock, { acceptBeatLink, acceptVerdictLink }),
    start: () => scan.start(),
    stop() {
      scan.stop();
      for (const link of links) link.close("shutting down");
    },
    problems: storeState.problems,
    scanOnce: scan.scanOnce,
    counts: () => ({ links: links.size, malformedBeats: batcher.malformed }),
  };
}

function addHealthLinks(
  router: ConnectRouter,
  clock: Clock,
  accept: Pick<HealthMonitor, "acceptBeatLink" | "acceptVerdictLink">,
): void {
  const { beatLink, verdictLink } = HealthLinkService.method;
  const { acceptBeatLink, acceptVerdictLink } = accept;
  router.service(HealthLinkService, {
    beatLink: createLinkHandler({
      ...{ method: beatLink, accept: acceptBeatLink, clock, timings: beatLinkTimings },
    }),
    verdictLink: createLinkHandler({ method: verdictLink, accept: acceptVerdictLink, clock }),
  });
}

/** Remembers how the store does, and logs when that changes. */
function createStoreState(clock: Clock, log: Logger) {
  // Not working until the first scan has reached the store.
  let problem: string | undefined = "the store was not reached yet";
  const complainedAtMs = new Map<string, number>();
  return {
    problems: (): readonly string[] => (problem === undefined ? [] : [problem]),
    away(err: unknown): void {
      if (problem === undefined) {
        log.warn({ err }, "the store is away: beats get no acknowledgement");
      }
      problem = "the store did not answer the scan of leases";
    },
    works(): void {
      if (problem !== undefined) log.info("the store answers");
      problem = undefined;
    },
    beatsNotTaken(deployment: string, err: unknown): void {
      const nowMs = clock.nowMs();
      const lastMs = complainedAtMs.get(deployment);
      if (lastMs !== undefined && nowMs - lastMs < complainEveryMs) return;
      complainedAtMs.set(deployment, nowMs);
      log.warn({ deployment, err }, "beats were not taken: their agents get no acknowledgement");
    },
  };
}
