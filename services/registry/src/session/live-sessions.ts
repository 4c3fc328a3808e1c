// SPDX-License-Identifier: Apache-2.0
// The sessions whose streams end at this registry: one per agent (PROTOCOL I13).
import { refFromWire, remexError, type SessionRef, sameRef, type WireRef } from "@remex/domain";
import { agentKey, type LiveSession } from "./live-session.ts";

export interface LiveSessions {
  /** Adds a session; an older stream of the same agent is closed as superseded. */
  add(live: LiveSession): void;
  /** Removes it; false when another stream has taken its place already. */
  remove(live: LiveSession): boolean;
  /** The session of an agent, whatever its number. */
  of(deployment: string, agent: string): LiveSession | undefined;
  /** The session with this number. */
  find(
    deployment: string,
    agent: string,
    session: WireRef | SessionRef | undefined,
  ): LiveSession | undefined;
  all(): Iterable<LiveSession>;
  readonly size: number;
}

export function createLiveSessions(): LiveSessions {
  const byAgent = new Map<string, LiveSession>();
  return {
    add(live) {
      const older = byAgent.get(live.key);
      byAgent.set(live.key, live);
      older?.channel.end(remexError("session_superseded", { session: older.sessionText }));
    },
    remove(live) {
      if (byAgent.get(live.key) !== live) return false;
      return byAgent.delete(live.key);
    },
    of: (deployment, agent) => byAgent.get(agentKey(deployment, agent)),
    find(deployment, agent, session) {
      const live = byAgent.get(agentKey(deployment, agent));
      return live !== undefined && sameRef(live.facts.session, refOf(session)) ? live : undefined;
    },
    all: () => byAgent.values(),
    get size() {
      return byAgent.size;
    },
  };
}

function refOf(session: WireRef | SessionRef | undefined): SessionRef | undefined {
  if (session === undefined || typeof session.epoch === "number") {
    return session as SessionRef | undefined;
  }
  return refFromWire(session as WireRef);
}
