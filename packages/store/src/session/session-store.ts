// SPDX-License-Identifier: Apache-2.0
// The session aggregate as services hold it: opens, renews, judges and ends sessions of agents.

import type { SessionRef } from "@remex/domain";
import { plainRead } from "../core/plain-read.ts";
import type { Store } from "../core/store.ts";
import {
  type ControlRows,
  type ControlsMarker,
  declareGone,
  type GoneReply,
  loadControlsMarker,
  projectControls,
} from "./control-functions.ts";
import { giveupKey, sessionKey } from "./keys.ts";
import {
  type Brake,
  type BrakeReply,
  type ExpireReply,
  expireLeases,
  extendBrake,
  type LeaseBeat,
  type MonitorView,
  noteTurnedAway,
  type RenewReply,
  readBrakes,
  releaseBrake,
  renewLeases,
  type TurnedAwayHello,
} from "./lease-functions.ts";
import type { Refused } from "./session-call.ts";
import {
  type AgentsReply,
  beginEnding,
  clearGiveup,
  countStaleReports,
  type DownStream,
  type EndingReply,
  forgetAgents,
  type Giveup,
  type LeaveReply,
  leaveSession,
  listAgents,
  noteStreamDown,
  type OpenClaim,
  type OpenReply,
  openSession,
  parseGiveup,
  type ResumeClaim,
  type ResumeReply,
  rebindToken,
  resumeSession,
} from "./session-functions.ts";
import { recordFromFields, type SessionFacts, type SessionRecord } from "./session-record.ts";

/** Everything that services do with sessions. Each call rejects with StoreUnavailable when Redis is away. */
export interface SessionStore {
  open(
    deployment: string,
    agent: string,
    facts: SessionFacts,
    claim?: OpenClaim,
  ): Promise<OpenReply>;
  resume(
    deployment: string,
    agent: string,
    claim: ResumeClaim,
    facts: Partial<SessionFacts>,
  ): Promise<ResumeReply>;
  noteStreamDown(
    deployment: string,
    streams: readonly DownStream[],
  ): Promise<Refused | { kind: "noted"; count: number }>;
  /** Hellos that were turned away for lack of room: their agents do not age meanwhile (L3, L6). */
  noteTurnedAway(
    deployment: string,
    hellos: readonly TurnedAwayHello[],
  ): Promise<Refused | { kind: "noted"; count: number }>;
  /** `monitor` is the replica that took the beats. */
  renew(deployment: string, monitor: string, beats: readonly LeaseBeat[]): Promise<RenewReply>;
  /** Judges at most `rows` agents that are due; call again at once while `more`. */
  expire(deployment: string, rows: number, view: MonitorView): Promise<ExpireReply>;
  /** Lets the brake of a scope go, or all of them when the scope is empty (L4). */
  releaseBrake(deployment: string, scope: string): Promise<BrakeReply>;
  /** Holds the members of a scope's brake for longer, or of all when the scope is empty (L4). */
  extendBrake(deployment: string, scope: string, byMs: number): Promise<BrakeReply>;
  /** The brakes that hold agents back. */
  readBrakes(deployment: string): Promise<readonly Brake[]>;
  /** Forgets at most `rows` agents that left an hour ago or failed a day ago. */
  forget(
    deployment: string,
    rows: number,
  ): Promise<Refused | { kind: "forgotten"; agents: readonly string[] }>;
  beginEnding(
    deployment: string,
    reason: string,
    sessions: readonly { agent: string; session?: SessionRef }[],
  ): Promise<EndingReply>;
  /** Every open session that a token opened, wherever its stream is. */
  beginEndingOfToken(deployment: string, reason: string, token: string): Promise<EndingReply>;
  leave(
    deployment: string,
    agent: string,
    session: SessionRef,
    empty: boolean,
  ): Promise<LeaveReply>;
  /** Binds an open session to a newer token. */
  rebindToken(
    deployment: string,
    agent: string,
    session: SessionRef,
    token: string,
    scopeQueues: readonly string[],
  ): Promise<Refused | { kind: "stale" } | { kind: "rebound" }>;
  /** One agent; undefined when the deployment has none of that name. */
  load(deployment: string, agent: string): Promise<SessionRecord | undefined>;
  /** A page of agents by name. */
  list(deployment: string, after: string, limit: number): Promise<AgentsReply>;
  /** Those of the named agents that exist. */
  get(deployment: string, names: readonly string[]): Promise<AgentsReply>;
  /** Ended sessions whose attempts wait to be given up, oldest first. */
  readGiveups(deployment: string, limit: number): Promise<Giveup[]>;
  clearGiveups(
    deployment: string,
    giveups: readonly Giveup[],
  ): Promise<Refused | { kind: "cleared"; count: number }>;
  /** What of the operators' decisions is in effect. */
  loadControlsMarker(deployment: string): Promise<ControlsMarker>;
  /** Puts decisions into effect (D6): those after `from`, the marker that was loaded before they were read. */
  projectControls(
    deployment: string,
    rows: ControlRows & { readonly revision: number },
    from: ControlsMarker,
  ): Promise<"projected" | "epoch_stale">;
  /** An operator's word that an agent whose session is over will not come back. */
  declareGone(deployment: string, agent: string): Promise<GoneReply>;
  countStaleReports(
    deployment: string,
    counts: readonly { agent: string; count: number }[],
  ): Promise<Refused | { kind: "counted" }>;
}

/** Makes the session store; `now` stands for Redis TIME in tests. */
export function createSessionStore(store: Store, now: () => number | "" = () => ""): SessionStore {
  const at = (): string => String(now());
  return {
    open: (deployment, agent, facts, claim = { dial: 0 }) =>
      store.call(openSession, { deployment, now: at(), agent, facts, claim }),
    resume: (deployment, agent, claim, facts) =>
      store.call(resumeSession, { deployment, now: at(), agent, claim, facts }),
    noteStreamDown: (deployment, streams) =>
      store.call(noteStreamDown, { deployment, now: at(), streams }),
    noteTurnedAway: (deployment, hellos) =>
      store.call(noteTurnedAway, { deployment, now: at(), hellos }),
    renew: (deployment, monitor, beats) =>
      store.call(renewLeases, { deployment, now: at(), monitor, beats }),
    expire: (deployment, rows, view) =>
      store.call(expireLeases, { deployment, now: at(), rows, view }),
    releaseBrake: (deployment, scope) => store.call(releaseBrake, { deployment, scope }),
    extendBrake: (deployment, scope, byMs) => store.call(extendBrake, { deployment, scope, byMs }),
    readBrakes: async (deployment) => (await store.call(readBrakes, { deployment })).brakes,
    forget: (deployment, rows) => store.call(forgetAgents, { deployment, now: at(), rows }),
    beginEnding: (deployment, reason, sessions) =>
      store.call(beginEnding, { deployment, now: at(), reason, sessions, token: "" }),
    beginEndingOfToken: (deployment, reason, token) =>
      store.call(beginEnding, { deployment, now: at(), reason, sessions: [], token }),
    leave: (deployment, agent, session, empty) =>
      store.call(leaveSession, { deployment, now: at(), agent, session, empty }),
    rebindToken: (deployment, agent, session, token, scopeQueues) =>
      store.call(rebindToken, { deployment, now: at(), agent, session, token, scopeQueues }),
    load: async (deployment, agent) => {
      const fields = await plainRead("session", store.redis.hgetall(sessionKey(deployment, agent)));
      return recordFromFields(agent, fields);
    },
    list: (deployment, after, limit) =>
      store.call(listAgents, { deployment, now: at(), names: [], after, limit }),
    get: async (deployment, names) =>
      names.length === 0
        ? { nowMs: 0, agents: [] }
        : store.call(listAgents, { deployment, now: at(), names, after: "", limit: 0 }),
    readGiveups: async (deployment, limit) => {
      const last = String(limit - 1);
      const reading = store.redis.zrange(giveupKey(deployment), "0", last, "WITHSCORES");
      const found = await plainRead("giveup", reading);
      return found.flatMap((entry, at) =>
        at % 2 === 0 ? [parseGiveup(entry, Number(found[at + 1]))] : [],
      );
    },
    clearGiveups: (deployment, giveups) =>
      store.call(clearGiveup, { deployment, entries: giveups.map(({ entry }) => entry) }),
    loadControlsMarker: (deployment) => loadControlsMarker(store, deployment),
    projectControls: (deployment, rows, from) =>
      projectControls(store, { deployment, now: at() }, rows, from),
    declareGone: (deployment, agent) => store.call(declareGone, { deployment, now: at(), agent }),
    countStaleReports: (deployment, counts) =>
      store.call(countStaleReports, { deployment, counts }),
  };
}
