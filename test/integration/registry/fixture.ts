// SPDX-License-Identifier: Apache-2.0
// A real registry, a real health-monitor and a real Redis; token service and scheduler are faked.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { RemexError, remexError } from "@remex/domain";
import { createHealthMonitor, type HealthMonitor } from "@remex/health-monitor";
import type { ServerEvent } from "@remex/proto/agent/v1";
import { ServerEventSchema } from "@remex/proto/agent/v1";
import { type BeatLinkEvent, BeatLinkEventSchema, type MonitorEvent } from "@remex/proto/health/v1";
import {
  type RegistryEvent,
  RegistryEventSchema,
  type SchedulerEvent,
  SchedulerEventSchema,
} from "@remex/proto/scheduler/v1";
import {
  RevocationSchema,
  type VerifyAgentTokenResponse,
  VerifyAgentTokenResponseSchema,
  type WatchRevocationsResponse,
  WatchRevocationsResponseSchema,
} from "@remex/proto/token/v1";
import { createRegistry, type Registry, type RegistryDeps } from "@remex/registry";
import {
  createMetrics,
  createReadiness,
  createSilentLogger,
  createSystemClock,
  formatAddress,
  type Readiness,
} from "@remex/runtime";
import {
  createDeploymentStore,
  createEpochCell,
  createSessionStore,
  createStore,
  createTaskStore,
  type DeploymentConfig,
  deploymentLibrary,
  ensureEpoch,
  openRedis,
  type SessionStore,
  type Store,
  sessionLibrary,
  subscribeSignals,
  taskLibrary,
} from "@remex/store";
import { type PrivateRedis, startPrivateRedis } from "@remex/store/testing";
import { connectErrorOf, createInProcessLinkPair, type FrameLink } from "@remex/transport";
import { waitFor } from "../../kit/index.ts";

export const fixtureConfig: DeploymentConfig = {
  deployment: "dep",
  revision: 1,
  heartbeatMs: 10_000,
  stopMs: 6_000,
  windowMs: 15_000,
  leaseMs: 20_000,
  limitMs: 30_000,
  intervalVersion: 1,
  onCut: "CONTINUE",
  lostAfterMs: 0,
  brake: "on",
  maxSlotCost: 1_000,
  maxPayloadBytes: 262_144,
  maxQueued: 1_000,
  retentionMs: 60_000,
  maxEnded: 100,
  airflowApiUrl: "",
  queues: ["default", "gpu"],
};

/** The scheduler's end of a link, as the test plays it. */
export interface FakeScheduler {
  readonly heard: RegistryEvent["event"][];
  hear<Case extends RegistryEvent["event"]["case"]>(
    kind: Case,
    which?: (value: Extract<RegistryEvent["event"], { case: Case }>["value"]) => boolean,
  ): Promise<Extract<RegistryEvent["event"], { case: Case }>["value"]>;
  tell(
    agent: string,
    session: { epoch: bigint; number: bigint } | undefined,
    events: readonly NonNullable<ServerEvent["event"]>[],
  ): void;
  link: FrameLink<RegistryEvent, SchedulerEvent>;
}

type FakeToken = MessageInitShape<typeof VerifyAgentTokenResponseSchema>;

export interface Fixture {
  /** host:port of the agents' door. */
  readonly target: string;
  readonly registry: Registry;
  readonly monitor: HealthMonitor;
  readonly sessions: SessionStore;
  readonly store: Store;
  readonly readiness: Readiness;
  readonly redis: PrivateRedis;
  readonly scheduler: FakeScheduler;
  /** Tokens that the fake token service knows. */
  readonly tokens: Map<string, FakeToken | RemexError>;
  /** Time of the store, when the test sets it; undefined for the real one. */
  nowMs: number | undefined;
  revoke(token: string, reason: string): void;
  project(config: Partial<DeploymentConfig>): Promise<void>;
  stop(): Promise<void>;
}

export async function startFixture(change: Partial<RegistryDeps> = {}): Promise<Fixture> {
  // What a test saw acknowledged must survive a kill: with "everysec" a busy disk may lose a second.
  const redis = await startPrivateRedis(["--appendfsync", "always"]);
  const connections = openRedis({ url: redis.url, connectionName: "registry-test" });
  await waitFor(() => connections.commands.status === "ready", { what: "redis" });
  const cell = createEpochCell();
  await ensureEpoch(connections.commands, cell);
  const libraries = [sessionLibrary, deploymentLibrary, taskLibrary];
  const store = createStore(connections.commands, cell, libraries);
  const sessions = createSessionStore(store, () => fixture.nowMs ?? "");
  const deployments = createDeploymentStore(store);
  const clock = createSystemClock();
  const log = createSilentLogger();
  const readiness = createReadiness();
  const metrics = createMetrics({ withProcess: false });
  const monitor = createHealthMonitor({
    ...{ replica: "monitor-1", clock, log, metrics },
    // A test that sets the store's time by hand would have it jump against the monitor's clock.
    sessions: {
      ...sessions,
      expire: (deployment, rows, { sinceMs: _sinceMs, ...view }) =>
        sessions.expire(deployment, rows, view),
    },
    listDeployments: deployments.list,
    listReplicas: async (role) => [{ replica: `${role}-1` }],
    epoch: cell.current,
  });
  const tokens: Fixture["tokens"] = new Map();
  const revocations = createRevocationFeed();
  const scheduler = createFakeScheduler();
  const registry = createRegistry({
    ...{ replica: "registry-1", sessions, deployments, readiness, clock, log },
    listen: { host: "127.0.0.1", port: 0 },
    tasks: createTaskStore(store),
    // Operators' calls are tried on a whole control plane.
    management: {} as RegistryDeps["management"],
    listReplicas: async (role) => [
      { role, replica: `${role}-1`, address: "local", softwareVersion: "0", ageMs: 0 },
    ],
    epoch: cell.current,
    subscribe: (handlers) => subscribeSignals(connections.subscriptions, handlers, () => undefined),
    verification: {
      verifyAgentToken: async ({ value }) => verifyFake(tokens, value ?? ""),
      watchRevocations: () => revocations.follow(),
    },
    peerAgents: () => {
      throw new Error("there is no other registry");
    },
    dialMonitor: async () => dialMonitor(monitor),
    dialScheduler: async () => scheduler.accept(),
    metrics,
    ...change,
  });
  const fixture: Fixture = {
    ...{ registry, monitor, sessions, store, readiness, redis, tokens, scheduler },
    target: formatAddress(await registry.start()),
    nowMs: undefined,
    revoke: (token, reason) => revocations.push(token, reason),
    project: async (config) => {
      await deployments.project({ ...fixtureConfig, ...config });
    },
    stop: async () => {
      await registry.stop();
      monitor.stop();
      connections.close();
      await redis.stop();
    },
  };
  tokens.set("good", { deployment: "dep", token: "tok00001" });
  await fixture.project({});
  await waitFor(() => readiness.report().ready, { what: "a ready registry" });
  return fixture;
}

function dialMonitor(monitor: HealthMonitor): FrameLink<MonitorEvent, BeatLinkEvent> {
  const pair = createInProcessLinkPair<BeatLinkEvent, MonitorEvent>("registry-1", "monitor-1");
  monitor.acceptBeatLink(pair.server);
  pair.client.send([
    create(BeatLinkEventSchema, { event: { case: "hello", value: { registry: "registry-1" } } }),
  ]);
  return pair.client;
}

async function verifyFake(
  tokens: Fixture["tokens"],
  value: string,
): Promise<VerifyAgentTokenResponse> {
  const known = tokens.get(value) ?? remexError("token_refused");
  if (known instanceof RemexError) throw connectErrorOf(known.failure);
  return create(VerifyAgentTokenResponseSchema, known);
}

function createRevocationFeed() {
  const frames: WatchRevocationsResponse[] = [];
  let wake: () => void = () => undefined;
  return {
    push(token: string, reason: string) {
      const revocation = create(RevocationSchema, {
        credential: { case: "agentToken", value: token },
        deployment: "dep",
        reason,
      });
      frames.push(create(WatchRevocationsResponseSchema, { revocations: [revocation] }));
      wake();
    },
    async *follow(): AsyncGenerator<WatchRevocationsResponse> {
      yield create(WatchRevocationsResponseSchema, {});
      for (;;) {
        const frame = frames.shift();
        if (frame !== undefined) yield frame;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}

function createFakeScheduler() {
  const heard: RegistryEvent["event"][] = [];
  const scheduler = {
    heard,
    link: undefined as unknown as FrameLink<RegistryEvent, SchedulerEvent>,
    hear: (kind: unknown, which: (value: never) => boolean = () => true) =>
      waitFor(
        () => heard.find((event) => event.case === kind && which(event.value as never))?.value,
        { what: `${kind} at the scheduler` },
      ),
    tell(
      agent: string,
      session: { epoch: bigint; number: bigint } | undefined,
      events: readonly NonNullable<ServerEvent["event"]>[],
    ) {
      const value = {
        deployment: "dep",
        agent,
        ...(session === undefined ? {} : { session }),
        events: events.map((event) => create(ServerEventSchema, { event } as never)),
      };
      scheduler.link.send([create(SchedulerEventSchema, { event: { case: "tell", value } })]);
    },
    accept(): FrameLink<SchedulerEvent, RegistryEvent> {
      const pair = createInProcessLinkPair<RegistryEvent, SchedulerEvent>("registry-1", "s-1");
      scheduler.link = pair.server;
      pair.server.onEvents((events) => heard.push(...events.map(({ event }) => event)));
      pair.client.send([
        create(RegistryEventSchema, {
          event: { case: "hello", value: { registry: "registry-1" } },
        }),
      ]);
      return pair.client;
    },
  };
  return scheduler as typeof scheduler & FakeScheduler;
}
