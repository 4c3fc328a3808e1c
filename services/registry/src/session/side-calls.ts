// SPDX-License-Identifier: Apache-2.0
// Authenticates agents' calls beside the session stream by the key of their session (SEC-T11).
import type { Metadata } from "@grpc/grpc-js";
import { remexError, type SessionRef, sameRef } from "@remex/domain";
import type { Clock } from "@remex/runtime";
import type { SessionStore } from "@remex/store";
import { readSessionCredential, sameDigest } from "./agent-credentials.ts";
import type { LiveSessions } from "./live-sessions.ts";

/** Who makes a side call. */
export interface SideCaller {
  readonly deployment: string;
  readonly agent: string;
  readonly session: SessionRef;
}

export type AuthenticateSideCall = (metadata: Metadata) => Promise<SideCaller>;

export interface SideCallsDeps {
  readonly live: LiveSessions;
  readonly sessions: Pick<SessionStore, "load">;
  readonly clock: Clock;
}

/** How long a record that was read for a session of another registry is believed. */
const believedMs = 1_000;
const mostBelieved = 10_000;

/**
 * A session whose stream is here is known; one whose stream is at another registry (or down for the
 * moment) is read from the store.
 */
export function createSideCalls(deps: SideCallsDeps): AuthenticateSideCall {
  const believed = new Map<string, number>();

  return async (metadata) => {
    const { deployment, agent, session, keyDigest } = readSessionCredential(metadata);
    const caller = { deployment, agent, session };
    const live = deps.live.find(deployment, agent, session);
    if (live !== undefined && sameDigest(live.facts.keyDigest, keyDigest)) return caller;
    const name = `${deployment}/${agent}/${session.epoch}.${session.number}/${keyDigest}`;
    if ((believed.get(name) ?? 0) > deps.clock.nowMs()) return caller;
    const record = await deps.sessions.load(deployment, agent);
    const stands =
      record !== undefined &&
      record.state !== "ENDED" &&
      sameRef(record.session, session) &&
      sameDigest(record.keyDigest, keyDigest);
    if (!stands) throw remexError("session_key_refused");
    if (believed.size >= mostBelieved) believed.clear();
    believed.set(name, deps.clock.nowMs() + believedMs);
    return caller;
  };
}
