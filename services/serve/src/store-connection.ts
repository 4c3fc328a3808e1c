// SPDX-License-Identifier: Apache-2.0
// The life of a process's connection to Redis: waits for it, judges it, learns its epoch, says how it stands.

import type { CancelTimer, Clock, Logger, ReadinessPart } from "@remex/runtime";
import {
  checkRedis,
  createEpochCell,
  createStore,
  deploymentLibrary,
  type EpochCell,
  ensureEpoch,
  openRedis,
  pairRecords,
  type RedisConnections,
  type Store,
  sessionLibrary,
  taskLibrary,
} from "@remex/store";

export interface StoreConnectionDeps {
  readonly redisUrl: string;
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
  close(): void;
}

/** A Redis that answers and must not be used (PROTOCOL D1, D6). */
export class RedisUnfit extends Error {
  override readonly name = "RedisUnfit";
  readonly code = "redis_unfit";
}

/** How often the epoch is compared, so that a wiped Redis is noticed without a broken connection. */
const lookEveryMs = 1_000;

export function openStoreConnection(deps: StoreConnectionDeps): StoreConnection {
  const { log, clock } = deps;
  const epoch = createEpochCell();
  const connections = openRedis({ url: deps.redisUrl, connectionName: deps.connectionName });
  const store = createStore(connections.commands, epoch, [
    deploymentLibrary,
    sessionLibrary,
    taskLibrary,
  ]);
  const listeners: (() => void)[] = [];
  const fit = Promise.withResolvers<void>();
  // Whoever starts the process waits for it; a process that recovers later does not.
  fit.promise.catch(() => undefined);
  // "fit", or the problem in words.
  let standing = "unknown";
  let looking = false;

  const say = (problem: string): void => {
    if (standing === problem) return;
    log.warn({ reason: problem }, "redis cannot be used yet");
    standing = problem;
    deps.part.notReady(problem);
  };

  const look = async (): Promise<void> => {
    if (looking) return;
    looking = true;
    try {
      const changed = await judgeRedis(deps, connections.commands, epoch, standing === "fit");
      if (!changed) return;
      standing = "fit";
      deps.part.ready();
      fit.resolve();
      for (const listener of listeners) listener();
    } catch (error) {
      if (error instanceof RedisUnfit) {
        // Without an epoch every function refuses to work, so that nothing is dispatched meanwhile.
        epoch.set("");
        say(error.message);
        fit.reject(error);
      } else {
        say(unreachable(deps.redisUrl));
      }
    } finally {
      looking = false;
    }
  };

  connections.commands.on("ready", () => void look());
  connections.commands.on("close", () => say(unreachable(deps.redisUrl)));
  const cancel: CancelTimer = clock.every(lookEveryMs, () => void look());
  return {
    connections,
    store,
    fit: fit.promise,
    onFit: (listener) => listeners.push(listener),
    close: () => {
      cancel();
      connections.commands.removeAllListeners("close");
      connections.close();
    },
  };
}

/** Settles with whether something changed for the better; rejects when Redis cannot be used. */
async function judgeRedis(
  { recordsId, log }: StoreConnectionDeps,
  redis: RedisConnections["commands"],
  epoch: EpochCell,
  wasFit: boolean,
): Promise<boolean> {
  if (!wasFit) {
    const { problems, warnings } = await checkRedis(redis);
    if (problems.length > 0) throw new RedisUnfit(problems.join("; "));
    await requireOwnRecords(redis, recordsId);
    for (const warning of warnings) log.warn({ reason: warning }, "redis could lose work");
  }
  const before = epoch.current();
  const current = await ensureEpoch(redis, epoch);
  if (wasFit && current === before) return false;
  if (before !== "" && current !== before) {
    // A wiped or restored Redis: its tie to the records was lost with the rest.
    await requireOwnRecords(redis, recordsId);
    log.warn({ epoch: current }, "redis has a new epoch");
  } else {
    log.info({ epoch: current }, "redis is connected");
  }
  return true;
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
