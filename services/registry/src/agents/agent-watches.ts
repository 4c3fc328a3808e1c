// SPDX-License-Identifier: Apache-2.0
// Watches over the agents of a deployment: the whole list, then changes, and all of it again at times.
import { create } from "@bufbuild/protobuf";
import { type WatchAgentsResponse, WatchAgentsResponseSchema } from "@remex/proto/registry/v1";
import type { Clock } from "@remex/runtime";
import type { SessionRecord, SessionStore } from "@remex/store";
import { agentMessage } from "./agent-message.ts";

export interface AgentWatchesDeps {
  readonly sessions: Pick<SessionStore, "list" | "get">;
  readonly clock: Clock;
}

export interface AgentWatches {
  /** Somebody changed these agents. */
  signal(deployment: string, agents: readonly string[]): void;
  watch(deployment: string, signal: AbortSignal): AsyncIterable<WatchAgentsResponse>;
}

/** How often everything is read again: it brings the age of heartbeats, and what a signal missed. */
const relistMs = 10_000;
const pageSize = 500;

interface Watcher {
  readonly deployment: string;
  readonly changed: Set<string>;
  wake(): void;
}

export function createAgentWatches(deps: AgentWatchesDeps): AgentWatches {
  const watchers = new Set<Watcher>();

  async function* list(
    deployment: string,
    names: Set<string>,
  ): AsyncGenerator<WatchAgentsResponse> {
    const before = new Set(names);
    names.clear();
    for (let after = ""; ; ) {
      const { nowMs, agents } = await deps.sessions.list(deployment, after, pageSize);
      for (const { agent } of agents) names.add(agent);
      const complete = agents.length < pageSize;
      const removed = complete ? [...before].filter((name) => !names.has(name)) : [];
      yield frame(deployment, agents, nowMs, { removed, listComplete: complete });
      if (complete) return;
      after = agents.at(-1)?.agent ?? "";
    }
  }

  async function changes(
    deployment: string,
    changed: readonly string[],
    names: Set<string>,
  ): Promise<WatchAgentsResponse> {
    const { nowMs, agents } = await deps.sessions.get(deployment, changed);
    const found = new Set(agents.map(({ agent }) => agent));
    const removed = changed.filter((name) => names.has(name) && !found.has(name));
    for (const name of removed) names.delete(name);
    for (const name of found) names.add(name);
    return frame(deployment, agents, nowMs, { removed });
  }

  return {
    signal(deployment, agents) {
      for (const watcher of watchers) {
        if (watcher.deployment !== deployment) continue;
        for (const agent of agents) watcher.changed.add(agent);
        watcher.wake();
      }
    },
    async *watch(deployment, signal) {
      const names = new Set<string>();
      const waiter = createWaiter(deps.clock, signal);
      const watcher: Watcher = { deployment, changed: new Set(), wake: waiter.wake };
      watchers.add(watcher);
      try {
        let relist = true;
        while (!signal.aborted) {
          if (relist) {
            watcher.changed.clear();
            yield* list(deployment, names);
          } else {
            const changed = [...watcher.changed].slice(0, pageSize);
            for (const name of changed) watcher.changed.delete(name);
            yield await changes(deployment, changed, names);
          }
          relist = (await waiter.wait(watcher.changed.size > 0)) === "time";
        }
      } finally {
        watchers.delete(watcher);
        waiter.stop();
      }
    },
  };
}

type Why = "time" | "changed";

/** Waits for a wake-up or for the time of the next whole list. */
function createWaiter(clock: Clock, signal: AbortSignal) {
  let waiting: ((why: Why) => void) | undefined;
  let due = false;
  const wake = (why: Why): void => {
    const resolve = waiting;
    waiting = undefined;
    if (resolve !== undefined) resolve(why);
    else due ||= why === "time";
  };
  const stop = clock.every(relistMs, () => wake("time"));
  const onAbort = () => wake("changed");
  signal.addEventListener("abort", onAbort, { once: true });
  return {
    wake: () => wake("changed"),
    wait(changedAlready: boolean): Promise<Why> {
      if (due) {
        due = false;
        return Promise.resolve("time");
      }
      if (changedAlready || signal.aborted) return Promise.resolve("changed");
      return new Promise((resolve) => {
        waiting = resolve;
      });
    },
    stop() {
      stop();
      signal.removeEventListener("abort", onAbort);
    },
  };
}

function frame(
  deployment: string,
  agents: readonly SessionRecord[],
  nowMs: number,
  rest: { readonly removed: string[]; readonly listComplete?: boolean },
): WatchAgentsResponse {
  return create(WatchAgentsResponseSchema, {
    ...rest,
    agents: agents.map((record) => agentMessage(deployment, record, nowMs)),
  });
}
