// SPDX-License-Identifier: Apache-2.0
// What tests of the session aggregate share: a store on a private Redis, a clock, and plain facts.
import type { Redis } from "ioredis";
import { createEpochCell } from "../core/epoch-cell.ts";
import { configKey, globalKeys } from "../core/keys.ts";
import { openRedis } from "../core/redis.ts";
import { createStore } from "../core/store.ts";
import { ensureEpoch } from "../epoch/epoch-store.ts";
import { startPrivateRedis } from "../testing/private-redis.ts";
import type { ExpireReply, LeaseVerdict, MonitorView } from "./lease-functions.ts";
import { sessionLibrary } from "./session-functions.ts";
import type { SessionFacts } from "./session-record.ts";
import { createSessionStore, type SessionStore } from "./session-store.ts";

/** A session store over a real Redis, whose time the test sets. */
export interface SessionFixture {
  readonly sessions: SessionStore;
  readonly redis: Redis;
  readonly epoch: string;
  /** Time that the functions see, in ms. */
  nowMs: number;
  /** Writes a deployment's configuration as its owner would. */
  project(deployment: string, epoch?: string): Promise<void>;
  /** Has the functions called with another epoch. */
  setEpoch(epoch: string): void;
  /** What the one monitor of the test sees; it hears the registry of `fixtureFacts`. */
  view: MonitorView;
  /** One scan by that monitor. */
  scan(deployment: string, rows?: number): Promise<ExpireReply>;
  /** Lets time pass under that monitor's scans, and answers what they found. */
  pass(deployment: string, ms: number): Promise<LeaseVerdict[]>;
  /** Empties the database and begins with the same epoch. */
  reset(): Promise<void>;
  stop(): Promise<void>;
}

/** Heartbeat interval of the deployments that the fixture projects. */
export const fixtureHeartbeatMs = 10_000;
/** How far apart the scans of `pass` are at most; less than what would be a gap. */
const scanEveryMs = 2_500;
/** Server limit SL of them. */
export const fixtureLimitMs = 30_000;

export const fixtureFacts: SessionFacts = {
  instance: "aa".repeat(16),
  registry: "registry-1",
  kind: "WORKER",
  queues: ["default"],
  labels: {},
  slots: 4,
  group: "default",
  runtimes: ["noop"],
  runtimeVersions: {},
  token: "tok00001",
  scopeQueues: [],
  keyDigest: "00".repeat(32),
  softwareVersion: "0.1.0",
  hostname: "host",
  address: "127.0.0.1",
};

export async function startSessionFixture(): Promise<SessionFixture> {
  const server = await startPrivateRedis();
  const connections = openRedis({ url: server.url, connectionName: "session-test" });
  const redis = connections.commands;
  if (redis.status !== "ready") await new Promise((resolve) => redis.once("ready", resolve));
  const cell = createEpochCell();
  const epoch = await ensureEpoch(redis, cell);
  const fixture: SessionFixture = {
    sessions: createSessionStore(createStore(redis, cell, [sessionLibrary]), () => fixture.nowMs),
    redis,
    epoch,
    nowMs: 1_000_000,
    view: {
      monitor: "monitor-1",
      first: false,
      heard: { "registry-1": 0 },
      living: ["registry-1"],
    },
    scan: (deployment, rows = 100) => fixture.sessions.expire(deployment, rows, fixture.view),
    pass: async (deployment, ms) => {
      const verdicts: LeaseVerdict[] = [];
      const untilMs = fixture.nowMs + ms;
      do {
        fixture.nowMs = Math.min(untilMs, fixture.nowMs + scanEveryMs);
        const reply = await fixture.scan(deployment);
        if (reply.kind === "scanned") verdicts.push(...reply.verdicts);
      } while (fixture.nowMs < untilMs);
      return verdicts;
    },
    project: async (deployment, projected = epoch) => {
      await redis.sadd(globalKeys.deployments, deployment);
      await redis.hset(configKey(deployment), {
        epoch: projected,
        heartbeatMs: fixtureHeartbeatMs,
        limitMs: fixtureLimitMs,
        intervalVersion: 1,
      });
      // The monitor looks before there are agents, as it does all the time.
      await fixture.scan(deployment);
    },
    setEpoch: (next) => cell.set(next),
    reset: async () => {
      cell.set(epoch);
      await redis.flushdb();
      await redis.set(globalKeys.epoch, epoch);
    },
    stop: async () => {
      connections.close();
      await server.stop();
    },
  };
  return fixture;
}
