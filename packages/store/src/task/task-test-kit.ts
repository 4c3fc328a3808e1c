// SPDX-License-Identifier: Apache-2.0
// What the task suites share: a private Redis with one deployment in effect and a clock set by hand.

import { createHash } from "node:crypto";
import { createEpochCell } from "../core/epoch-cell.ts";
import { configKey, deploymentTag } from "../core/keys.ts";
import { openRedis, type RedisConnections } from "../core/redis.ts";
import { createStore, type Store } from "../core/store.ts";
import { type PrivateRedis, startPrivateRedis } from "../testing/private-redis.ts";
import { createTaskStore, type TaskStore, taskLibrary } from "./task-store.ts";
import type {
  ClaimCandidate,
  Claimed,
  ClaimedTask,
  ReportItem,
  SubmitItem,
} from "./task-writes.ts";

export const deployment = "team-a";
export const epoch = "1794000000";
export const limitMs = 30_000;

export interface TaskWorld {
  readonly server: PrivateRedis;
  readonly redis: RedisConnections;
  readonly store: Store;
  readonly tasks: TaskStore;
  /** The store's clock. */
  now: number;
  /** Empties the store and puts the deployment into effect. */
  reset(config?: Readonly<Record<string, string>>): Promise<void>;
  /** Opens (or replaces) a session as the session aggregate would. */
  setSession(agent: string, fields?: Readonly<Record<string, string>>): Promise<string>;
  stop(): Promise<void>;
}

export async function startTaskWorld(): Promise<TaskWorld> {
  const server: PrivateRedis = await startPrivateRedis();
  const redis = openRedis({ url: server.url, connectionName: "task-test" });
  if (redis.commands.status !== "ready") {
    await new Promise((resolve) => redis.commands.once("ready", resolve));
  }
  const cell = createEpochCell();
  cell.set(epoch);
  const store = createStore(redis.commands, cell, [taskLibrary]);
  const sessions = new Map<string, number>();
  const world: TaskWorld = {
    server,
    redis,
    store,
    tasks: createTaskStore(store, () => world.now),
    now: 1_800_000_000_000,
    reset: async (config = {}) => {
      await redis.commands.flushall();
      await redis.commands.hset(configKey(deployment), {
        epoch,
        revision: "1",
        limitMs: String(limitMs),
        maxSlotCost: "1000",
        maxPayloadBytes: "1000",
        maxQueued: "1000",
        retentionMs: "86400000",
        maxEnded: "100000",
        queues: '["default","gpu"]',
        ...config,
      });
    },
    setSession: async (agent, fields = {}) => {
      const number = (sessions.get(agent) ?? 0) + 1;
      sessions.set(agent, number);
      const session = `${epoch}.${number}`;
      const key = `${deploymentTag(deployment)}:session:${agent}`;
      await redis.commands.hset(key, {
        session,
        state: "OPEN",
        availability: "SCHEDULABLE",
        health: "HEALTHY",
        beatAtMs: String(world.now),
        ...fields,
      });
      return session;
    },
    stop: async () => {
      redis.close();
      await server.stop();
    },
  };
  return world;
}

/** A submission named by a short word. */
export function submission(word: string, fields: Partial<SubmitItem> = {}): SubmitItem {
  return {
    id: `t_${word.padEnd(26, "a")}`,
    key: `key-${word}`,
    digest: createHash("sha256").update(word).digest(),
    spec: Buffer.from(`spec of ${word}\u0000\u00ff`, "latin1"),
    payloadBytes: 10,
    credentials: false,
    lane: "default",
    queue: "default",
    priority: 0,
    slotCost: 1,
    onLost: "REQUEUE",
    maxRetries: 0,
    maxRecoveries: 3,
    onCut: undefined,
    lostAfterMs: undefined,
    ...fields,
  };
}

export function candidate(
  agent: string,
  session: string,
  slots = 10,
  lanes: readonly string[] = ["default"],
): ClaimCandidate {
  return { agent, session, slots, lanes };
}

/** Claims and insists that the deployment was in effect. */
export async function claim(
  world: TaskWorld,
  candidates: readonly ClaimCandidate[],
  most = 100,
): Promise<Claimed> {
  const claimed = await world.tasks.claim({ deployment, candidates, offerTtlMs: 5_000, most });
  if (claimed.kind !== "claimed") throw new Error(claimed.reason);
  return claimed;
}

export function attemptOf(offer: ClaimedTask): string {
  return `${epoch}.${offer.attemptNumber}`;
}

/** Confirms offers of one agent; answers in order. */
export async function confirm(
  world: TaskWorld,
  agent: string,
  session: string,
  accepts: readonly { readonly id: string; readonly attempt: string; readonly sequence?: number }[],
): Promise<readonly string[]> {
  const group = { agent, session, accepts: accepts.map((item) => ({ sequence: 1, ...item })) };
  const judged = await world.tasks.confirm({ deployment, groups: [group] });
  if (judged.kind !== "judged") throw new Error(judged.reason);
  return judged.answers;
}

export function report(id: string, attempt: string, fields: Partial<ReportItem> = {}): ReportItem {
  return {
    id,
    attempt,
    kind: "SUCCEEDED",
    reason: "",
    exitCode: 0,
    message: "",
    digest: "digest-1",
    outcome: Buffer.from("outcome"),
    started: false,
    ranMs: 0,
    droppedCalls: 0,
    ...fields,
  };
}

/** Reports one result; the verdict, with its reason when there is one. */
export async function settle(
  world: TaskWorld,
  agent: string,
  session: string,
  item: ReportItem,
): Promise<string> {
  const settled = await world.tasks.settle({
    deployment,
    groups: [{ agent, session, reports: [item] }],
  });
  if (settled.kind !== "settled") throw new Error(settled.reason);
  const [judgement] = settled.judgements;
  return [judgement?.verdict, judgement?.supersededBy, judgement?.reason].filter(Boolean).join(" ");
}
