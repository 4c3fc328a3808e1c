// SPDX-License-Identifier: Apache-2.0
// The registry: ends agents' streams and joins them to monitors, schedulers, tokens and the store.
import type { Client, ConnectRouter } from "@connectrpc/connect";
import type { Metadata } from "@grpc/grpc-js";
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
import { openAgentsDoor } from "./agents-door.ts";
import type { MonitorLink } from "./links/beat-relay.ts";
import { followPeers } from "./links/peer-targets.ts";
import { createStreamDowns } from "./links/stream-downs.ts";
import { createTurnedAway, type TurnedAway } from "./links/turned-away.ts";
import type { SchedulerLink } from "./links/work-relay.ts";
import type { AgentManagement } from "./management/agent-management.ts";
import { createRegistryMetrics } from "./registry-metrics.ts";
import { createRegistryReadiness } from "./registry-readiness.ts";
import { readSessionCredential } from "./session/agent-credentials.ts";
import { createDeploymentConfigs } from "./session/deployment-configs.ts";
import type { LiveSession } from "./session/live-session.ts";
import { createLiveSessions } from "./session/live-sessions.ts";
import { createSessionOpener } from "./session/session-opener.ts";
import { createStoreChanges } from "./session/store-changes.ts";
import { createTokenChecks } from "./session/token-checks.ts";
import { createTokenWatch } from "./session/token-watch.ts";
import { createSessionLinks } from "./session-links.ts";
import { createSideServices } from "./side-services.ts";

export interface RegistryDeps {
  /** Id of this replica. */
  readonly replica: string;
  /** Where agents dial to. */
  readonly listen: ListenAddress;
  readonly sessions: SessionStore;
  readonly deployments: Pick<DeploymentStore, "load">;
  readonly tasks: Pick<TaskStore, "readAttempt">;
  /** What operators do with agents. */
  readonly management: AgentManagement;
  /** The living replicas of a role. */
  listReplicas(role: string): Promise<ReplicaRecord[]>;
  /** Epoch of the store. */
  epoch(): string;
  /** An agent has seen a greater epoch than the store's (PROTOCOL D2). Absence means that nobody looks. */
  claimEpoch?(epoch: number): void;
  /** Listens to the store's signals: channel to handler. */
  subscribe(handlers: Readonly<Record<string, (message: unknown) => void>>): void;
  readonly verification: Pick<
    Client<typeof VerificationService>,
    "verifyAgentToken" | "watchRevocations"
  >;
  /** Another registry, by the address of its record. */
  peerAgents(address: string): Pick<Client<typeof AgentService>, "readTaskLog">;
  /** Whether the registry at this address is fit: its beats are answered. Absence means that there is none. */
  peerServes?(address: string): Promise<boolean>;
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
  /** Whether an agent would be served here: it is ready, and beats are answered. */
  serves(): boolean;
  /** Opens the agents' door; rejects with a ListenError. Answers where it listens. */
  start(): Promise<ListenAddress>;
  /** The store was found fit, or in another epoch: sessions that it does not know are ended (PROTOCOL D2). */
  storeChanged(): void;
  /** Sends agents away, then closes the door. */
  stop(): Promise<void>;
}

/** How often live sessions are compared with the store, in case a signal was lost. */
const sweepEveryMs = 5_000;
/** How long agents have to resume elsewhere when the registry stops. */
const goAwayGraceMs = 2_000;

export function createRegistry(deps: RegistryDeps): Registry {
  const registry = new RunningRegistry(deps);
  return {
    routes: (router) => registry.routes(router),
    serves: () => registry.serves(),
    start: () => registry.start(),
    storeChanged: () => registry.storeChanged(),
    stop: () => registry.stop(),
  };
}

class RunningRegistry implements Registry {
  readonly #deps: RegistryDeps;
  readonly #live = createLiveSessions();
  readonly #metrics: ReturnType<typeof createRegistryMetrics>;
  readonly #readiness: ReturnType<typeof createRegistryReadiness>;
  readonly #configs: ReturnType<typeof createDeploymentConfigs>;
  readonly #tokens: ReturnType<typeof createTokenChecks>;
  readonly #links: ReturnType<typeof createSessionLinks>;
  readonly #side: ReturnType<typeof createSideServices>;
  readonly #downs: ReturnType<typeof createStreamDowns>;
  readonly #turnedAway: TurnedAway;
  readonly #changes: ReturnType<typeof createStoreChanges>;
  readonly #tokenWatch: ReturnType<typeof createTokenWatch>;
  readonly #timers: CancelTimer[] = [];
  #door: RunningServer | undefined;
  #stopping = false;

  constructor(deps: RegistryDeps) {
    const { clock, log, replica, sessions } = deps;
    const live = this.#live;
    this.#deps = deps;
    this.#metrics = createRegistryMetrics(deps.metrics);
    this.#readiness = createRegistryReadiness(deps.readiness);
    this.#configs = createDeploymentConfigs((deployment) => deps.deployments.load(deployment));
    this.#tokens = createTokenChecks(deps.verification, sessions, log);
    const configs = this.#configs;
    this.#links = createSessionLinks({
      ...{ replica, clock, log, live, sessions, configs },
      ...{ tokens: this.#tokens, readiness: this.#readiness },
      refreshSettings: (deployment) => void this.#refreshSettings(deployment),
      listReplicas: deps.listReplicas,
      peerServes: async (address) => (await deps.peerServes?.(address)) ?? false,
      dialMonitor: deps.dialMonitor,
      dialScheduler: deps.dialScheduler,
    });
    this.#side = createSideServices({ ...deps, live, configs });
    this.#downs = createStreamDowns(replica, sessions, this.#warn("noting streams that ended"));
    this.#turnedAway = createTurnedAway({
      sessions,
      knows: (deployment) => configs.known(deployment) !== undefined,
      onFailure: this.#warn("noting agents that were turned away"),
    });
    this.#changes = createStoreChanges({
      ...{ live, sessions },
      onChanged: (session, record, nowMs) => this.#links.conduct.changed(session, record, nowMs),
      onMissing: (session) => this.#endForgotten(session),
      onFailure: this.#warn("reading changed agents"),
    });
    this.#tokenWatch = createTokenWatch({
      ...{ clock, log },
      ...(deps.random === undefined ? {} : { random: deps.random }),
      watch: (signal) => deps.verification.watchRevocations({}, { signal }),
      onUp: this.#readiness.tokens,
      onEnded: (deployment, token, reason) => this.#endToken(deployment, token, reason),
    });
  }

  routes(router: ConnectRouter): void {
    router.service(AgentService, this.#side.agents);
  }

  serves(): boolean {
    return this.#deps.readiness.report().ready && !this.#links.answers.starving;
  }

  async start(): Promise<ListenAddress> {
    const { clock, epoch, listReplicas, subscribe } = this.#deps;
    const { beats, work, answers } = this.#links;
    this.#door = await this.#openDoor();
    subscribe({
      [channels.agents]: (message) => this.#agentsChanged(message),
      [channels.config]: (message) => {
        void this.#refreshSettings((message as { deployment: string }).deployment);
      },
    });
    this.#timers.push(
      followPeers({
        ...{ clock, listReplicas, epoch },
        relays: { "health-monitor": beats, scheduler: work },
        // Redis says for itself when it is away; the links stay meanwhile.
        onFailure: () => undefined,
      }),
      clock.every(sweepEveryMs, this.#changes.sweep),
      answers.start(),
    );
    this.#tokenWatch.start();
    return this.#door.address;
  }

  storeChanged(): void {
    this.#changes.sweep();
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#readiness.stopping();
    for (const each of this.#live.all()) this.#links.conduct.goAway(each, "shutting_down");
    await this.#door?.close(goAwayGraceMs);
    for (const cancel of this.#timers) cancel();
    this.#tokenWatch.stop();
    await this.#downs.flush();
    this.#links.beats.close();
    this.#links.work.close();
    this.#side.close();
  }

  #openDoor(): Promise<RunningServer> {
    const { clock, log, random, replica, sessions, listen, readiness, epoch } = this.#deps;
    const { claimEpoch, connectsPerSecond } = this.#deps;
    return openAgentsDoor({
      ...{ clock, log, listen, readiness, sideCalls: this.#side.sideCalls },
      ...(random === undefined ? {} : { random }),
      ...(connectsPerSecond === undefined ? {} : { connectsPerSecond }),
      checkFit: () => this.#checkFit(),
      stream: {
        ...{ clock, log, epoch, registry: replica },
        open: createSessionOpener({
          ...{ sessions, registry: replica },
          loadConfig: this.#configs.load,
          ...(claimEpoch === undefined ? {} : { claimEpoch }),
          verifyToken: this.#tokens.verify,
        }),
        onLive: (session, hello) => this.#onLive(session, hello),
        onEvents: (session, events) => this.#links.conduct.events(session, events),
        onGone: (session) => this.#onGone(session),
        onForeignFrame: this.#metrics.foreignFrame,
        onHelloRefused: (code, hello, metadata) => this.#helloRefused(code, hello, metadata),
      },
    });
  }

  #helloRefused(code: string, hello: Hello | undefined, metadata: Metadata): void {
    this.#metrics.helloRefused(code);
    if (code !== "admission_full" || hello?.resume === undefined) return;
    try {
      this.#turnedAway.add(readSessionCredential(metadata));
    } catch {
      // It showed no key of a session: there is no age to hold.
    }
  }

  #checkFit(): void {
    if (this.#stopping) throw remexError("shutting_down");
    if (this.#links.beats.links === 0) {
      throw remexError("service_unavailable", { service: "health-monitor" });
    }
  }

  #onLive(session: LiveSession, { inventory }: Hello): void {
    this.#live.add(session);
    this.#metrics.sessions(this.#live.size);
    this.#links.conduct.helloInventory(session, inventory);
    this.#links.work.attach(session, inventory);
    const { address, generation } = session.facts;
    this.#deps.log.info({ ...session.logFields, address, generation }, "agent connected");
  }

  #onGone(session: LiveSession): void {
    const current = this.#live.remove(session);
    this.#metrics.sessions(this.#live.size);
    this.#links.work.detach(session, session.ending ? "ended" : "stream_down");
    this.#downs.add(session);
    if (current) this.#deps.log.info(session.logFields, "agent's stream ended");
  }

  #agentsChanged(message: unknown): void {
    const { deployment, agents } = message as { deployment: string; agents: string[] };
    this.#changes.signal(deployment, agents);
    this.#side.watches.signal(deployment, agents);
  }

  async #endToken(deployment: string, token: string, reason: string): Promise<void> {
    for (const each of this.#live.all()) {
      if (each.token === token && each.facts.deployment === deployment) {
        this.#links.conduct.beginEnding(each, reason);
      }
    }
    const reply = await this.#deps.sessions.beginEndingOfToken(deployment, reason, token);
    if (reply.kind === "refused") throw new Error(`the store refused: ${reply.reason}`);
  }

  // The store has lost it. Before the deployment is in effect again no agent could come back.
  async #endForgotten(session: LiveSession): Promise<void> {
    const { deployment } = session.facts;
    const config = await this.#deps.deployments.load(deployment);
    if (config?.epoch === this.#deps.epoch()) this.#links.conduct.end(session, "session_unknown");
  }

  async #refreshSettings(deployment: string): Promise<void> {
    const config = await this.#configs.load(deployment).catch(this.#warn("reading settings"));
    if (config === undefined) return;
    for (const each of this.#live.all()) {
      if (each.facts.deployment === deployment) this.#links.conduct.settings(each, config);
    }
  }

  #warn(what: string): (err: unknown) => undefined {
    return (err) => {
      this.#deps.log.warn({ err }, `${what} failed`);
    };
  }
}
