// SPDX-License-Identifier: Apache-2.0
// The registry: ends agents' streams and joins them to monitors, schedulers, tokens and the store.
import type { Client, ConnectRouter } from "@connectrpc/connect";
import { remexError } from "@remex/domain";
import type { Hello } from "@remex/proto/agent/v1";
import { AgentService } from "@remex/proto/registry/v1";
import type { VerificationService } from "@remex/proto/token/v1";
import type {
  CancelTimer,
  Clock,
  ListenAddress,
  Logger,
  Metrics,
  Random,
  Readiness,
} from "@remex/runtime";
import {
  channels,
  type DeploymentStore,
  type ReplicaRecord,
  type SessionStore,
  type TaskStore,
} from "@remex/store";
import type { LinkTarget, RunningServer } from "@remex/transport";
import { createAgentHandlers } from "./agents/agent-handlers.ts";
import { createAgentWatches } from "./agents/agent-watches.ts";
import { openAgentsDoor } from "./agents-door.ts";
import { createApiConnections } from "./forward/api-connections.ts";
import { createAttemptGate } from "./forward/attempt-gate.ts";
import { createForward } from "./forward/forward-call.ts";
import { createBeatRelay, type MonitorLink } from "./links/beat-relay.ts";
import { followPeers } from "./links/peer-targets.ts";
import { createStreamDowns } from "./links/stream-downs.ts";
import { createWorkRelay, type SchedulerLink } from "./links/work-relay.ts";
import { createLogFetches } from "./logs/log-fetches.ts";
import { createLogReader } from "./logs/log-reader.ts";
import { createRegistryMetrics } from "./registry-metrics.ts";
import { createRegistryReadiness } from "./registry-readiness.ts";
import { createDeploymentConfigs } from "./session/deployment-configs.ts";
import type { LiveSession } from "./session/live-session.ts";
import { createLiveSessions } from "./session/live-sessions.ts";
import { createSessionConduct } from "./session/session-conduct.ts";
import { createSessionOpener } from "./session/session-opener.ts";
import { createSideCalls } from "./session/side-calls.ts";
import { createStoreChanges } from "./session/store-changes.ts";
import { createTokenChecks } from "./session/token-checks.ts";
import { createTokenWatch } from "./session/token-watch.ts";

export interface RegistryDeps {
  /** Id of this replica. */
  readonly replica: string;
  /** Where agents dial to. */
  readonly listen: ListenAddress;
  readonly sessions: SessionStore;
  readonly deployments: Pick<DeploymentStore, "load">;
  readonly tasks: Pick<TaskStore, "readAttempt">;
  /** The living replicas of a role. */
  listReplicas(role: string): Promise<ReplicaRecord[]>;
  /** Epoch of the store. */
  epoch(): string;
  /** Listens to the store's signals: channel to handler. */
  subscribe(handlers: Readonly<Record<string, (message: unknown) => void>>): void;
  readonly verification: Pick<
    Client<typeof VerificationService>,
    "verifyAgentToken" | "watchRevocations"
  >;
  /** Another registry, by the address of its record. */
  peerAgents(address: string): Pick<Client<typeof AgentService>, "readTaskLog">;
  dialMonitor(target: LinkTarget, signal: AbortSignal): Promise<MonitorLink>;
  dialScheduler(target: LinkTarget, signal: AbortSignal): Promise<SchedulerLink>;
  readonly readiness: Readiness;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: Random;
  /** Absence means 200. */
  readonly connectsPerSecond?: number;
}

export interface Registry {
  /** Adds AgentService to the internal Connect server. */
  routes(router: ConnectRouter): void;
  /** Opens the agents' door; rejects with a ListenError. Answers where it listens. */
  start(): Promise<ListenAddress>;
  /** Sends agents away, then closes the door. */
  stop(): Promise<void>;
}

/** How often live sessions are compared with the store, in case a signal was lost. */
const sweepEveryMs = 5_000;
/** How long agents have to resume elsewhere when the registry stops. */
const goAwayGraceMs = 2_000;

export function createRegistry(deps: RegistryDeps): Registry {
  const { clock, log, replica, sessions } = deps;
  const live = createLiveSessions();
  const metrics = createRegistryMetrics(deps.metrics);
  const configs = createDeploymentConfigs((deployment) => deps.deployments.load(deployment));
  const tokens = createTokenChecks(deps.verification, sessions, log);
  let stopping = false;

  const warn = (what: string) => (err: unknown) => log.warn({ err }, `${what} failed`);
  const random = deps.random === undefined ? {} : { random: deps.random };

  const conduct = createSessionConduct({
    log,
    sessions,
    config: configs.known,
    beats: () => beats,
    work: () => work,
    reauthenticate: tokens.reauthenticate,
    onSettingsBehind: (deployment) => void refreshSettings(deployment),
  });
  const beats = createBeatRelay({
    ...{ clock, log, live },
    dial: deps.dialMonitor,
    onAcknowledged: conduct.acknowledged,
    onRefused: conduct.refused,
    onVerdict: conduct.verdict,
    onLinksChanged: () => readiness.links(beats.links, work.links),
  });
  const work = createWorkRelay({
    ...{ clock, log, live },
    dial: deps.dialScheduler,
    tell: conduct.tell,
    onLinksChanged: () => readiness.links(beats.links, work.links),
  });
  const readiness = createRegistryReadiness(deps.readiness);
  const downs = createStreamDowns(replica, sessions, warn("noting streams that ended"));
  const changes = createStoreChanges({
    ...{ live, sessions },
    onChanged: conduct.changed,
    onFailure: warn("reading changed agents"),
  });
  const tokenWatch = createTokenWatch({
    ...{ clock, log, ...random },
    watch: (signal) => deps.verification.watchRevocations({}, { signal }),
    onUp: readiness.tokens,
    onEnded: endToken,
  });

  const authenticate = createSideCalls({ live, sessions, clock });
  const fetches = createLogFetches(clock, authenticate);
  const watches = createAgentWatches({ sessions, clock });
  const agents = createAgentHandlers({
    ...{ sessions, watches },
    readLog: createLogReader({ ...deps, live, fetches }),
    deploymentExists: async (deployment) => (await configs.load(deployment)) !== undefined,
  });
  const apiConnections = createApiConnections();
  const sideCalls = {
    forward: createForward({
      ...{ authenticate, log },
      gate: createAttemptGate({ tasks: deps.tasks, clock }),
      loadConfig: configs.load,
      connections: apiConnections,
    }),
    sendLog: fetches.sendLog,
  };

  async function endToken(deployment: string, token: string, reason: string): Promise<void> {
    for (const each of live.all()) {
      if (each.token === token && each.facts.deployment === deployment) {
        conduct.beginEnding(each, reason);
      }
    }
    const reply = await sessions.beginEndingOfToken(deployment, reason, token);
    if (reply.kind === "refused") throw new Error(`the store refused: ${reply.reason}`);
  }

  async function refreshSettings(deployment: string): Promise<void> {
    const config = await configs.load(deployment).catch(warn("reading settings"));
    if (config === undefined) return;
    for (const each of live.all()) {
      if (each.facts.deployment === deployment) conduct.settings(each, config);
    }
  }

  function onLive(session: LiveSession, { inventory }: Hello): void {
    live.add(session);
    metrics.sessions(live.size);
    conduct.helloInventory(session, inventory);
    work.attach(session, inventory);
    const { address, generation } = session.facts;
    log.info({ ...session.logFields, address, generation }, "agent connected");
  }

  function onGone(session: LiveSession): void {
    const current = live.remove(session);
    metrics.sessions(live.size);
    conduct.gone(session);
    work.detach(session, session.ending ? "ended" : "stream_down");
    downs.add(session);
    if (current) log.info(session.logFields, "agent's stream ended");
  }

  function checkFit(): void {
    if (stopping) throw remexError("shutting_down");
    if (beats.links === 0) throw remexError("service_unavailable", { service: "health-monitor" });
  }

  let door: RunningServer | undefined;
  const timers: CancelTimer[] = [];

  return {
    routes(router) {
      router.service(AgentService, agents);
    },
    async start() {
      door = await openAgentsDoor({
        ...{ clock, log, ...random, checkFit, sideCalls },
        ...{ listen: deps.listen, readiness: deps.readiness },
        ...(deps.connectsPerSecond === undefined
          ? {}
          : { connectsPerSecond: deps.connectsPerSecond }),
        stream: {
          ...{ clock, log, onLive, onGone },
          registry: replica,
          epoch: deps.epoch,
          open: createSessionOpener({
            registry: replica,
            sessions,
            loadConfig: configs.load,
            verifyToken: tokens.verify,
          }),
          onEvents: conduct.events,
          onForeignFrame: metrics.foreignFrame,
        },
      });
      deps.subscribe({
        [channels.agents]: (message) => {
          const { deployment, agents } = message as { deployment: string; agents: string[] };
          changes.signal(deployment, agents);
          watches.signal(deployment, agents);
        },
        [channels.config]: (message) => {
          void refreshSettings((message as { deployment: string }).deployment);
        },
      });
      timers.push(
        followPeers({
          clock,
          listReplicas: deps.listReplicas,
          relays: { "health-monitor": beats, scheduler: work },
          onFailure: () => undefined,
        }),
        clock.every(sweepEveryMs, changes.sweep),
      );
      tokenWatch.start();
      return door.address;
    },
    async stop() {
      stopping = true;
      readiness.stopping();
      for (const each of live.all()) conduct.goAway(each, "shutting_down");
      await door?.close(goAwayGraceMs);
      for (const cancel of timers) cancel();
      tokenWatch.stop();
      await downs.flush();
      beats.close();
      work.close();
      apiConnections.close();
    },
  };
}
