// SPDX-License-Identifier: Apache-2.0
// Notes resuming agents that were turned away for lack of room, so that they do not age (PROTOCOL L3, L6).
import type { SessionStore, TurnedAwayHello } from "@remex/store";
import type { SessionCredential } from "../session/agent-credentials.ts";

export interface TurnedAway {
  /** This hello was turned away; whether its key is the session's own is judged by the store. */
  add(shown: SessionCredential): void;
}

export interface TurnedAwayDeps {
  readonly sessions: Pick<SessionStore, "noteTurnedAway">;
  /** Whether this registry has served the deployment: names that nobody knows are not looked up. */
  knows(deployment: string): boolean;
  onFailure(error: unknown): void;
}

/** Most hellos of one call; a crowd that is larger comes again, and is noted then. */
const mostPerCall = 1_000;

/** Those of one turn go in one call per deployment. A note that fails is not tried again. */
export function createTurnedAway(deps: TurnedAwayDeps): TurnedAway {
  let waiting = new Map<string, Map<string, TurnedAwayHello>>();

  function flush(): void {
    const batches = waiting;
    waiting = new Map();
    for (const [deployment, hellos] of batches) {
      deps.sessions.noteTurnedAway(deployment, [...hellos.values()]).catch(deps.onFailure);
    }
  }

  return {
    add({ deployment, agent, session, keyDigest }) {
      if (!deps.knows(deployment)) return;
      if (waiting.size === 0) setImmediate(flush);
      const hellos = waiting.get(deployment) ?? new Map<string, TurnedAwayHello>();
      waiting.set(deployment, hellos);
      if (hellos.size < mostPerCall) hellos.set(agent, { agent, session, keyDigest });
    },
  };
}
