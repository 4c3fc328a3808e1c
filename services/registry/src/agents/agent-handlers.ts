// SPDX-License-Identifier: Apache-2.0
// AgentService: lists, shows and watches agents, and streams logs of their tasks.
import type { ServiceImpl } from "@connectrpc/connect";
import { remexError } from "@remex/domain";
import type { AgentService } from "@remex/proto/registry/v1";
import type { SessionRecord, SessionStore } from "@remex/store";
import { StoreUnavailable } from "@remex/store";
import { callerRoleKey } from "@remex/transport";
import type { ReadLog } from "../logs/log-reader.ts";
import type { AgentManagement } from "../management/agent-management.ts";
import { agentMessage } from "./agent-message.ts";
import type { AgentWatches } from "./agent-watches.ts";

export interface AgentHandlersDeps {
  /** What operators do with agents. */
  readonly management: AgentManagement;
  readonly sessions: Pick<SessionStore, "list" | "get">;
  readonly watches: AgentWatches;
  readonly readLog: ReadLog;
  deploymentExists(deployment: string): Promise<boolean>;
}

const defaultPage = 100;
const largestPage = 1_000;

export function createAgentHandlers(deps: AgentHandlersDeps): ServiceImpl<typeof AgentService> {
  async function known(deployment: string): Promise<void> {
    if (!(await deps.deploymentExists(deployment))) {
      throw remexError("deployment_unknown", { deployment });
    }
  }

  async function answering<Reply>(work: () => Promise<Reply>): Promise<Reply> {
    try {
      return await work();
    } catch (error) {
      throw asFailure(error);
    }
  }

  async function* streaming<Reply>(work: () => AsyncIterable<Reply>): AsyncGenerator<Reply> {
    try {
      yield* work();
    } catch (error) {
      throw asFailure(error);
    }
  }

  return {
    ...deps.management,
    listAgents: ({ deployment, pageSize, pageToken }) =>
      answering(async () => {
        await known(deployment);
        const limit = Math.min(pageSize || defaultPage, largestPage);
        const after = nameFromToken(pageToken);
        const { nowMs, agents } = await deps.sessions.list(deployment, after, limit);
        const last = agents.length === limit ? agents.at(-1)?.agent : undefined;
        return {
          agents: agents
            .filter((record) => !isRemoved(record))
            .map((record) => agentMessage(deployment, record, nowMs)),
          nextPageToken: last === undefined ? "" : Buffer.from(last).toString("base64url"),
        };
      }),
    getAgent: ({ deployment, agent }) =>
      answering(async () => {
        await known(deployment);
        const { nowMs, agents } = await deps.sessions.get(deployment, [agent]);
        const [record] = agents;
        if (record === undefined || isRemoved(record))
          throw remexError("agent_unknown", { agent, deployment });
        return { agent: agentMessage(deployment, record, nowMs) };
      }),
    watchAgents: ({ deployment }, context) =>
      streaming(async function* () {
        await known(deployment);
        yield* deps.watches.watch(deployment, context.signal);
      }),
    readTaskLog: (request, context) =>
      streaming(() =>
        deps.readLog(request, {
          signal: context.signal,
          isRegistry: context.values.get(callerRoleKey) === "registry",
        }),
      ),
  };
}

/** R26: a deleted agent whose session is over is gone; the store forgets it a little later. */
function isRemoved({ availability, state }: SessionRecord): boolean {
  return availability === "DELETED" && state === "ENDED";
}

function nameFromToken(token: string): string {
  if (token === "") return "";
  const name = Buffer.from(token, "base64url").toString();
  if (!/^[a-z0-9-]{1,63}$/.test(name)) throw remexError("cursor_invalid");
  return name;
}

/** Anything but a store that is away passes as it is: the server answers for it. */
function asFailure(error: unknown): unknown {
  return error instanceof StoreUnavailable
    ? remexError("store_unavailable", {}, { cause: error })
    : error;
}
