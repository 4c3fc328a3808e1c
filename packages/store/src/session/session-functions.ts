// SPDX-License-Identifier: Apache-2.0
// The functions of the session aggregate, declared once: named arguments in, a checked reply out.
import type { AgentHealthWord, Availability, SessionRef } from "@remex/domain";
import { formatRef, requireRef } from "@remex/domain";
import { readFunctionLibrary } from "../core/function-library.ts";
import { configKey } from "../core/keys.ts";
import { defineFunction, type FunctionReply } from "../core/store.ts";
import { type Common, jsonFunction, type Refused } from "./session-call.ts";
import {
  factsToFields,
  recordFromFields,
  type SessionFacts,
  type SessionRecord,
} from "./session-record.ts";

/** The library of the session aggregate. */
export const sessionLibrary = readFunctionLibrary(
  "session",
  1,
  new URL("./functions/", import.meta.url),
);

export type OpenReply =
  | Refused
  | { readonly kind: "alive"; readonly ageMs: number; readonly freeInMs: number }
  /** Its guard has no lock: what an older instance left there may run (T6). */
  | { readonly kind: "unguarded" }
  /** A later hello of the same instance was taken; the session that it has. */
  | { readonly kind: "old_hello"; readonly session: string }
  /** An operator removed it (O3): `buried` when this very instance, else the name is free in `freeInMs`. */
  | { readonly kind: "deleted"; readonly buried: boolean; readonly freeInMs: number }
  | {
      readonly kind: "opened";
      readonly session: string;
      readonly availability: Availability;
      /** What its group says about cut-off work; empty when nothing. */
      readonly onCut: string;
      readonly superseded?: string;
      /** The session of another instance was replaced on the proof of its lock (T6). */
      readonly takeover?: boolean;
    };

/** What a hello for a new session claims beside its facts. */
export interface OpenClaim {
  /** Number of the hello within its instance; 0 when it is not stated. */
  readonly dial: number;
  /** The instance, in hex, that it takes over (T6). */
  readonly oldInstance?: string;
  /** Its guard does not hold the state directory's lock. */
  readonly unguarded?: boolean;
}

export type ResumeReply =
  | Refused
  | { readonly kind: "unknown" }
  | { readonly kind: "ending"; readonly reason: string }
  | { readonly kind: "ended"; readonly reason: string }
  | { readonly kind: "generation"; readonly generation: number }
  | {
      readonly kind: "resumed";
      readonly availability: Availability;
      /** What its group says about cut-off work; empty when nothing. */
      readonly onCut: string;
      readonly health: AgentHealthWord;
      readonly healthReason: string;
    };

export type EndingReply =
  | Refused
  | {
      readonly kind: "ending";
      readonly sessions: readonly { readonly agent: string; readonly session: string }[];
    };

export type LeaveReply =
  | Refused
  | { readonly kind: "stale" }
  | { readonly kind: "left" }
  | { readonly kind: "ending"; readonly reason: string };

export const openSession = jsonFunction<
  Common & { agent: string; facts: SessionFacts; claim: OpenClaim },
  OpenReply
>(
  "open_session_v1",
  ["alive", "unguarded", "old_hello", "deleted", "opened"],
  ({ now, agent, facts, claim }, epoch) => [
    epoch,
    now,
    agent,
    JSON.stringify(factsToFields(facts)),
    JSON.stringify(claim),
  ],
);

/** Who claims to go on with a session. */
export interface ResumeClaim {
  readonly session: SessionRef;
  readonly instance: string;
  readonly generation: number;
  readonly keyDigest: string;
  /** Number of the hello within its instance; 0 or absent when it is not stated. */
  readonly dial?: number;
}

export const resumeSession = jsonFunction<
  Common & { agent: string; claim: ResumeClaim; facts: Partial<SessionFacts> },
  ResumeReply
>(
  "resume_session_v1",
  ["unknown", "ending", "ended", "generation", "resumed"],
  ({ now, agent, claim, facts }, epoch) => [
    epoch,
    now,
    agent,
    JSON.stringify({ dial: 0, ...claim, session: formatRef(claim.session) }),
    JSON.stringify(factsToFields(facts)),
  ],
);

/** A stream that ended. */
export interface DownStream {
  readonly agent: string;
  readonly session: SessionRef;
  readonly registry: string;
  readonly generation: number;
}

export const noteStreamDown = jsonFunction<
  Common & { streams: readonly DownStream[] },
  Refused | { kind: "noted"; count: number }
>("note_stream_down_v1", ["noted"], ({ now, streams }, epoch) => [
  epoch,
  now,
  JSON.stringify(streams.map((stream) => ({ ...stream, session: formatRef(stream.session) }))),
]);

export const forgetAgents = jsonFunction<
  Common & { rows: number },
  Refused | { kind: "forgotten"; agents: readonly string[] }
>("forget_agents_v1", ["forgotten"], ({ now, rows }, epoch) => [epoch, now, rows]);

export const beginEnding = jsonFunction<
  Common & {
    reason: string;
    sessions: readonly { agent: string; session?: SessionRef }[];
    token: string;
  },
  EndingReply
>("begin_ending_v1", ["ending"], ({ now, reason, sessions, token }, epoch) => {
  const items = sessions.map(({ agent, session }) =>
    session === undefined ? { agent } : { agent, session: formatRef(session) },
  );
  return [epoch, now, reason, JSON.stringify(items), token];
});

export const leaveSession = jsonFunction<
  Common & { agent: string; session: SessionRef; empty: boolean },
  LeaveReply
>("leave_session_v1", ["stale", "left", "ending"], ({ now, agent, session, empty }, epoch) => [
  epoch,
  now,
  agent,
  formatRef(session),
  empty ? "1" : "0",
]);

export const rebindToken = jsonFunction<
  Common & {
    agent: string;
    session: SessionRef;
    token: string;
    scopeQueues: readonly string[];
  },
  Refused | { kind: "stale" } | { kind: "rebound" }
>("rebind_token_v1", ["stale", "rebound"], ({ now, agent, session, token, scopeQueues }, epoch) => [
  epoch,
  now,
  agent,
  formatRef(session),
  token,
  JSON.stringify(scopeQueues),
]);

export const clearGiveup = jsonFunction<
  { deployment: string; entries: readonly string[] },
  Refused | { kind: "cleared"; count: number }
>("clear_giveup_v1", ["cleared"], ({ entries }, epoch) => [epoch, JSON.stringify(entries)]);

export const countStaleReports = jsonFunction<
  { deployment: string; counts: readonly { agent: string; count: number }[] },
  Refused | { kind: "counted" }
>("count_stale_reports_v1", ["counted"], ({ counts }, epoch) => [epoch, JSON.stringify(counts)]);

/** Agents as they were at one moment of the store's clock. */
export interface AgentsReply {
  readonly nowMs: number;
  readonly agents: readonly SessionRecord[];
}

export const listAgents = defineFunction<
  Common & { names: readonly string[]; after: string; limit: number },
  AgentsReply
>({
  name: "list_agents_v1",
  keys: ({ deployment }) => [configKey(deployment)],
  args: ({ now, names, after, limit }, epoch) => [epoch, now, JSON.stringify(names), after, limit],
  parse: (reply) => {
    const [nowMs, ...rest] = reply as FunctionReply[];
    const agents: SessionRecord[] = [];
    for (let index = 0; index + 1 < rest.length; index += 2) {
      const record = recordFromFields(String(rest[index]), fieldsOf(rest[index + 1] ?? null));
      if (record !== undefined) agents.push(record);
    }
    return { nowMs: Number(nowMs), agents };
  },
});

function fieldsOf(reply: FunctionReply): Record<string, string> {
  const flat = Array.isArray(reply) ? reply : [];
  const fields: Record<string, string> = {};
  for (let index = 0; index + 1 < flat.length; index += 2) {
    fields[String(flat[index])] = String(flat[index + 1]);
  }
  return fields;
}

/** An ended session whose attempts are still to be given up. */
export interface Giveup {
  readonly agent: string;
  readonly session: SessionRef;
  readonly reason: string;
  /** When the session ended, by the store's clock. */
  readonly endedAtMs: number;
  /** The entry as it stands in the store, for `clear_giveup`. */
  readonly entry: string;
}

/** Reads an entry of the give-up list. */
export function parseGiveup(entry: string, endedAtMs: number): Giveup {
  const [agent = "", session = "", reason = ""] = entry.split("|");
  return { agent, session: requireRef(session), reason, endedAtMs, entry };
}
