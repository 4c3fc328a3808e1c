// SPDX-License-Identifier: Apache-2.0
// A real Redis with one deployment in effect and a store clock set by hand, for the scheduler's tests.

import {
  createDeploymentStore,
  createEpochCell,
  createSessionStore,
  createStore,
  type DeploymentConfig,
  deploymentLibrary,
  ensureEpoch,
  type MonitorView,
  openRedis,
  type RedisConnections,
  type Store,
  type StoreGuards,
  sessionLibrary,
  taskLibrary,
} from "@remex/store";
import { type PrivateRedis, startPrivateRedis } from "@remex/store/testing";

export const deployment = "dep";

/** Settings of the deployment; a test gives those that it is about. */
export const settings: DeploymentConfig = {
  deployment,
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
  maxPayloadBytes: 10_000,
  maxQueued: 10_000,
  retentionMs: 86_400_000,
  maxEnded: 100_000,
  airflowApiUrl: "",
  queues: ["default", "gpu"],
};

/** What the one monitor of these tests sees: it hears the registry of `sessionFixtureFacts`. */
const view: MonitorView = {
  monitor: "monitor-1",
  first: false,
  heard: { "registry-1": 0 },
  living: ["registry-1"],
};

export interface StoreWorld {
  readonly server: PrivateRedis;
  readonly redis: RedisConnections;
  readonly store: Store;
  /** The store's clock. */
  nowMs: number;
  /** Lets time pass until every agent that does not beat has failed. */
  failSilent(): Promise<void>;
  /** Empties the store and puts the deployment into effect. */
  reset(config?: Partial<DeploymentConfig>): Promise<void>;
  stop(): Promise<void>;
}

export async function startStoreWorld(guards: StoreGuards = {}): Promise<StoreWorld> {
  const server = await startPrivateRedis();
  const redis = openRedis({ url: server.url, connectionName: "scheduler-test" });
  await Promise.all([ready(redis.commands), ready(redis.subscriptions)]);
  const libraries = [taskLibrary, sessionLibrary, deploymentLibrary];
  const store = createStore(redis.commands, createEpochCell(), libraries, guards);
  const sessions = createSessionStore(store, () => world.nowMs);
  const world: StoreWorld = {
    server,
    redis,
    store,
    nowMs: 1_800_000_000_000,
    async failSilent() {
      const untilMs = world.nowMs + settings.limitMs;
      while (world.nowMs < untilMs) {
        world.nowMs += 1_000;
        await sessions.expire(deployment, 100, view);
      }
    },
    async reset(config = {}) {
      await redis.commands.flushall();
      await ensureEpoch(redis.commands, store.epoch);
      await createDeploymentStore(store).project({ ...settings, ...config });
      await sessions.expire(deployment, 100, view);
    },
    async stop() {
      redis.close();
      await server.stop();
    },
  };
  return world;
}

/** Waits until a connection takes commands. */
export async function ready(redis: RedisConnections["commands"]): Promise<void> {
  if (redis.status !== "ready") await new Promise((resolve) => redis.once("ready", resolve));
}
