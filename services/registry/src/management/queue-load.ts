// SPDX-License-Identifier: Apache-2.0
// How much waits in each queue and how many agents listen on it, as Redis knows it.

import { parseLane, remexError } from "@remex/domain";
import { type SessionStore, StoreUnavailable, type TaskStore } from "@remex/store";

export interface QueueLoad {
  readonly queuedTasks: number;
  readonly agents: number;
}

export interface QueueLoadDeps {
  readonly tasks: Pick<TaskStore, "depths">;
  readonly sessions: Pick<SessionStore, "list">;
}

const agentsPerPage = 1_000;

/** Waiting tasks by queue; throws `store_unavailable` when Redis does not say. */
export async function loadQueueDepths(
  tasks: Pick<TaskStore, "depths">,
  deployment: string,
): Promise<ReadonlyMap<string, number>> {
  const reply = await tasks.depths({ deployment }).catch((cause: unknown) => {
    throw cause instanceof StoreUnavailable
      ? remexError("store_unavailable", {}, { cause })
      : cause;
  });
  if (reply.kind === "refused") throw remexError("settings_not_in_effect", { deployment });
  const depths = new Map<string, number>();
  for (const [lane, depth] of reply.lanes) {
    const { queue } = parseLane(lane);
    depths.set(queue, (depths.get(queue) ?? 0) + depth);
  }
  return depths;
}

/** The load of every queue that has any; undefined when Redis is away. */
export async function loadQueueLoads(
  deps: QueueLoadDeps,
  deployment: string,
): Promise<((queue: string) => QueueLoad) | undefined> {
  try {
    const depths = await loadQueueDepths(deps.tasks, deployment);
    const agents = await countListeners(deps.sessions, deployment);
    return (queue) => ({
      queuedTasks: depths.get(queue) ?? 0,
      agents: agents.get(queue) ?? 0,
    });
  } catch {
    // The list is shown without what is unknown: it is the records' answer, and they are here.
    return undefined;
  }
}

async function countListeners(
  sessions: Pick<SessionStore, "list">,
  deployment: string,
): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  let after = "";
  for (;;) {
    const page = await sessions.list(deployment, after, agentsPerPage);
    if (!("agents" in page)) return counts;
    for (const agent of page.agents) {
      if (agent.state !== "OPEN") continue;
      for (const queue of agent.queues) counts.set(queue, (counts.get(queue) ?? 0) + 1);
    }
    const last = page.agents.at(-1);
    if (last === undefined || page.agents.length < agentsPerPage) return counts;
    after = last.agent;
  }
}
