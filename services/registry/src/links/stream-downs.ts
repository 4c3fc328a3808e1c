// SPDX-License-Identifier: Apache-2.0
// Notes streams that ended in the store, those of one turn in one call per deployment.
import type { DownStream, SessionStore } from "@remex/store";
import type { LiveSession } from "../session/live-session.ts";

export interface StreamDowns {
  /** The stream of this session ended. */
  add(live: LiveSession): void;
  /** Writes what waits. */
  flush(): Promise<void>;
}

/** A note that fails is not tried again: the missed beats tell the same a little later. */
export function createStreamDowns(
  registry: string,
  sessions: Pick<SessionStore, "noteStreamDown">,
  onFailure: (error: unknown) => void,
): StreamDowns {
  let waiting = new Map<string, DownStream[]>();

  async function flush(): Promise<void> {
    const batches = waiting;
    waiting = new Map();
    const notes = [...batches].map(([deployment, streams]) =>
      sessions.noteStreamDown(deployment, streams).catch(onFailure),
    );
    await Promise.all(notes);
  }

  return {
    add(live) {
      if (waiting.size === 0) setImmediate(() => void flush());
      const { deployment, agent, session, generation } = live.facts;
      const streams = waiting.get(deployment) ?? [];
      streams.push({ agent, session, registry, generation });
      waiting.set(deployment, streams);
    },
    flush,
  };
}
