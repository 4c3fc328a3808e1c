// SPDX-License-Identifier: Apache-2.0
// The life of a process's connection to Redis: waits for it, judges it, learns its epoch, says how it stands.

import type { CancelTimer, Clock, Logger, ReadinessPart } from "@remex/runtime";
import {
  askIdentity,
  checkRedis,
  createEpochCell,
  createReplicaFence,
  createStore,
  deploymentLibrary,
  type EpochCell,
  type EpochLook,
  lookAtEpoch,
  openRedis,
  pairRecords,
  type RedisConnections,
  type ReplicaFence,
  type Store,
  sessionLibrary,
  taskLibrary,
} from "@remex/store";
import { createConnectionGate } from "./connection-gate.ts";

export interface StoreConnectionDeps {
  readonly redisUrl: string;
  /** Replicas that must have what is acknowledged (D1); absence waits for none. */
  readonly replicas?: { readonly count: number; readonly timeoutMs: number };
  readonly connectionName: string;
  /** Id of the records store, which this Redis must belong to. */
  readonly recordsId: string;
  readonly part: ReadinessPart;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface StoreConnection {
  readonly connections: RedisConnections;
  readonly store: Store;
  /** Settles with the first look at Redis that succeeded; rejects when it is not fit for us. */
  readonly fit: Promise<void>;
  /** Calls back whenever Redis was found fit after it was not, or has another epoch. */
  onFit(listener: () => void): void;
  /** An agent says that it has seen this epoch; a greater one than the store's is looked into at once. */
  claimEpoch(epoch: number): void;
  close(): void;
}

/** A Redis that answers and must not be used (PROTOCOL D1, D6). */
export class RedisUnfit extends Error {
  override readonly name = "RedisUnfit";
  readonly code = "redis_unfit";
}

/** A Redis that answers and is to be waited for. */
class RedisNotYet extends Error {
  override readonly name = "RedisNotYet";
}

/** How often the epoch is compared, so that a wiped Redis is noticed without a broken connection. */
const lookEveryMs = 1_000;
/** A refused call looks at once, but not each of many. */
const refusedLookEveryMs = 100;

/**
 * PROTOCOL D2: on every new connection the server is asked who it is before anything else is sent; until it
 * was found to be the server of the epoch, or a new epoch was begun, calls are refused as not sent.
 */
export function openStoreConnection(deps: StoreConnectionDeps): StoreConnection {
  const epoch = createEpochCell();
  const connections = openRedis({ url: deps.redisUrl, connectionName: deps.connectionName });
  const gate = createConnectionGate();
  const fence = openFence(connections, deps.replicas);
  const libraries = [deploymentLibrary, sessionLibrary, taskLibrary];
  const store = createStore(connections.commands, epoch, libraries, {
    admits: gate.isOpen,
    onRefused: () => {
      if (deps.clock.nowMs() - lookedAtMs >= refusedLookEveryMs) void look();
    },
    ...(fence === undefined ? {} : { settled: fence.settled }),
  });
  const listeners: (() => void)[] = [];
  const fit = Promise.withResolvers<void>();
  // Whoever starts the process waits for it; a process that recovers later does not.
  fit.promise.catch(() => undefined);
  const standing = createStanding(deps);
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  let looking = false;
  let lookAgain = false;

  const found = (): void => {
    standing.fit();
    fit.resolve();
    for (const listener of listeners) listener();
  };

  const lookOnce = async (): Promise<void> => {
    const connection = gate.connection();
    try {
      const wasFit = standing.isFit();
      const changed = await judgeRedis(deps, connections.commands, epoch, wasFit);
      // What another connection's server said is worth nothing for this one.
      if (!gate.open(connection)) return;
      if (changed || !wasFit) found();
    } catch (error) {
      if (!(error instanceof RedisUnfit)) {
        standing.say(error instanceof RedisNotYet ? error.message : unreachable(deps.redisUrl));
        return;
      }
      // Without an epoch every function refuses to work, so that nothing is dispatched meanwhile.
      epoch.set("");
      standing.say(error.message);
      fit.reject(error);
    }
  };

  const look = async (): Promise<void> => {
    lookAgain = looking;
    if (looking || connections.commands.status !== "ready") return;
    looking = true;
    lookedAtMs = deps.clock.nowMs();
    do {
      lookAgain = false;
      await lookOnce();
    } while (lookAgain);
    looking = false;
  };

  connections.commands.on("ready", () => void look());
  connections.commands.on("close", () => {
    gate.shut();
    standing.say(unreachable(deps.redisUrl));
  });
  // A broken subscription is often the first sign that another server has taken over.
  connections.subscriptions.on("ready", () => void look());
  const cancel: CancelTimer = deps.clock.every(lookEveryMs, () => void look());
  return {
    connections,
    store,
    fit: fit.promise,
    onFit: (listener) => listeners.push(listener),
    claimEpoch: (claimed) => {
      epoch.claim(claimed);
      if (claimed > epoch.greatest()) void look();
    },
    close: () => {
      cancel();
      fence?.close();
      connections.commands.removeAllListeners("close");
      connections.close();
    },
  };
}

function openFence(
  connections: RedisConnections,
  { count, timeoutMs } = { count: 0, timeoutMs: 0 },
): ReplicaFence | undefined {
  if (count === 0) return undefined;
  const waiting = connections.openAnother("replicas");
  return createReplicaFence({
    replicas: count,
    timeoutMs,
    commands: connections.commands,
    waiting,
  });
}

/** Remembers how Redis stands, and says each change once. */
function createStanding({ log, part }: StoreConnectionDeps) {
  // "fit", or the problem in words.
  let standing = "unknown";
  return {
    isFit: () => standing === "fit",
    fit(): void {
      standing = "fit";
      part.ready();
    },
    say(problem: string): void {
      if (standing === problem) return;
      log.warn({ reason: problem }, "redis cannot be used yet");
      standing = problem;
      part.notReady(problem);
    },
  };
}

/** Settles with whether something changed for the better; rejects when Redis cannot be used. */
async function judgeRedis(
  { recordsId, replicas, log }: StoreConnectionDeps,
  redis: RedisConnections["commands"],
  epoch: EpochCell,
  wasFit: boolean,
): Promise<boolean> {
  const identity = await askIdentity(redis);
  if (identity.role !== "master") {
    throw new RedisNotYet(
      "this redis is a replica; waiting until it is promoted, or a primary is back",
    );
  }
  if (!wasFit) {
    const { problems, warnings } = await checkRedis(redis, replicas?.count);
    if (problems.length > 0) throw new RedisUnfit(problems.join("; "));
    await requireOwnRecords(redis, recordsId);
    for (const warning of warnings) log.warn({ reason: warning }, "redis could lose work");
  }
  const before = epoch.current();
  const found = await lookAtEpoch(redis, epoch, { identity });
  if (wasFit && found.epoch === before) return false;
  if (before !== "" && found.epoch !== before) {
    // A wiped or restored Redis: its tie to the records was lost with the rest.
    await requireOwnRecords(redis, recordsId);
  }
  sayEpoch(log, before, found);
  return true;
}

function sayEpoch(log: Logger, before: string, { epoch, began }: EpochLook): void {
  if (before === "" ? began === "" || began === "missing" : before === epoch) {
    log.info({ epoch }, "redis is connected");
  } else {
    log.warn({ epoch, before, reason: began || "begun_elsewhere" }, "redis has a new epoch");
  }
}

async function requireOwnRecords(redis: RedisConnections["commands"], id: string): Promise<void> {
  const paired = await pairRecords(redis, id);
  if (paired !== id) throw new RedisUnfit(foreignRecords(id, paired));
}

function unreachable(url: string): string {
  return `redis cannot be reached at ${withoutPassword(url)}; start it, or name another with --redis-url`;
}

function foreignRecords(own: string, paired: string): string {
  return (
    `this redis belongs to the records store ${paired} and not to ${own}; ` +
    "give every process the same --records, or use a redis of its own"
  );
}

function withoutPassword(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null || parsed.password === "") return url;
  parsed.password = "***";
  return parsed.href;
}
