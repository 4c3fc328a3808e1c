// SPDX-License-Identifier: Apache-2.0
// Brings changes that others made to agents in the store to the sessions that are live here.
import type { SessionRecord, SessionStore } from "@remex/store";
import type { LiveSession } from "./live-session.ts";
import type { LiveSessions } from "./live-sessions.ts";

export interface StoreChangesDeps {
  readonly live: LiveSessions;
  readonly sessions: Pick<SessionStore, "get">;
  /** `nowMs` is the store's time at which the record was read. */
  onChanged(live: LiveSession, record: SessionRecord, nowMs: number): void;
  /** The store knows nothing of the agent. */
  onMissing(live: LiveSession): Promise<void>;
  onFailure(error: unknown): void;
}

export interface StoreChanges {
  /** Somebody changed these agents. */
  signal(deployment: string, agents: readonly string[]): void;
  /** Reads every agent that is live here, in case a signal was lost. */
  sweep(): void;
}

/** Most agents of one read. */
const mostPerRead = 500;

export function createStoreChanges(deps: StoreChangesDeps): StoreChanges {
  const waiting = new Map<string, Set<string>>();

  function add(deployment: string, agent: string): void {
    if (deps.live.of(deployment, agent) === undefined) return;
    if (waiting.size === 0) setImmediate(() => void readAll());
    const agents = waiting.get(deployment) ?? new Set<string>();
    waiting.set(deployment, agents.add(agent));
  }

  async function readAll(): Promise<void> {
    const batches = [...waiting].map(([deployment, agents]) => ({
      deployment,
      names: [...agents],
    }));
    waiting.clear();
    for (const { deployment, names } of batches) {
      for (let at = 0; at < names.length; at += mostPerRead) {
        await read(deployment, names.slice(at, at + mostPerRead)).catch(deps.onFailure);
      }
    }
  }

  async function read(deployment: string, names: readonly string[]): Promise<void> {
    // Those that are live before the read are in the store, unless it has lost them.
    const lives = names.map((name) => deps.live.of(deployment, name));
    const { nowMs, agents } = await deps.sessions.get(deployment, names);
    const known = new Set(agents.map(({ agent }) => agent));
    for (const record of agents) {
      const live = deps.live.of(deployment, record.agent);
      if (live !== undefined) deps.onChanged(live, record, nowMs);
    }
    for (const live of lives) {
      if (live !== undefined && !known.has(live.facts.agent)) await deps.onMissing(live);
    }
  }

  return {
    signal(deployment, agents) {
      for (const agent of agents) add(deployment, agent);
    },
    sweep() {
      for (const { facts } of deps.live.all()) add(facts.deployment, facts.agent);
    },
  };
}
