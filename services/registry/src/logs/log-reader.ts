// SPDX-License-Identifier: Apache-2.0
// Finds the agent that has a log: here, at another registry, or away.
import type { Client } from "@connectrpc/connect";
import { formatRef, parseRef, refFromWire, refToWire, remexError } from "@remex/domain";
import type { AgentService, ReadTaskLogRequest } from "@remex/proto/registry/v1";
import type { ReplicaRecord, SessionStore, TaskStore } from "@remex/store";
import { failureFromConnect } from "@remex/transport";
import type { LiveSessions } from "../session/live-sessions.ts";
import type { LogFetches, LogPart } from "./log-fetches.ts";

export interface LogReaderDeps {
  readonly live: LiveSessions;
  readonly fetches: LogFetches;
  readonly sessions: Pick<SessionStore, "load">;
  readonly tasks: Pick<TaskStore, "readAttempt">;
  listReplicas(role: string): Promise<ReplicaRecord[]>;
  peerAgents(address: string): Pick<Client<typeof AgentService>, "readTaskLog">;
}

export interface LogCaller {
  readonly signal: AbortSignal;
  /** True when another registry asks: it has looked for the agent already, so it is here or away. */
  readonly isRegistry: boolean;
}

export type ReadLog = (request: ReadTaskLogRequest, caller: LogCaller) => AsyncIterable<LogPart>;

export function createLogReader(deps: LogReaderDeps): ReadLog {
  return async function* read(request, caller) {
    const { deployment, task, offset, limit, follow } = request;
    const { agent, attempt } = await holderOf(deps, request);
    const live = deps.live.of(deployment, agent);
    if (live !== undefined) {
      const wish = { task, attempt, offset, limit, follow };
      yield* deps.fetches.read(live, wish, caller.signal);
      return;
    }
    if (caller.isRegistry) throw remexError("agent_away", { agent });
    yield* readFromPeer(deps, request, agent, caller.signal);
  };
}

async function holderOf(deps: LogReaderDeps, request: ReadTaskLogRequest) {
  const { deployment, task } = request;
  const row = await deps.tasks.readAttempt({ deployment, id: task });
  if (row.kind !== "attempt") throw remexError("task_unknown", { task, deployment });
  const current = parseRef(row.attempt);
  if (current === undefined || row.agent === "") {
    throw remexError("log_unknown", { task, reason: "it was not given to an agent yet" });
  }
  const wanted = refFromWire(request.attempt) ?? current;
  if (formatRef(wanted) !== row.attempt) {
    const reason = `attempt ${formatRef(wanted)} is not its last, which is ${row.attempt}`;
    throw remexError("log_unknown", { task, reason });
  }
  return { agent: row.agent, attempt: refToWire(wanted) };
}

async function* readFromPeer(
  deps: LogReaderDeps,
  request: ReadTaskLogRequest,
  agent: string,
  signal: AbortSignal,
): AsyncGenerator<LogPart> {
  const record = await deps.sessions.load(request.deployment, agent);
  const replicas = record === undefined ? [] : await deps.listReplicas("registry");
  const peer = replicas.find(({ replica }) => replica === record?.registry);
  if (peer === undefined) throw remexError("agent_away", { agent });
  try {
    yield* deps.peerAgents(peer.address).readTaskLog(request, { signal });
  } catch (error) {
    throw failureFromConnect(error);
  }
}
