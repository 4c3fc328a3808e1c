// SPDX-License-Identifier: Apache-2.0
// An agent with its current or last session, as it stands in the store's hash.
import {
  type AgentHealthWord,
  type AgentKindWord,
  type Availability,
  agentHealths,
  agentKinds,
  availabilities,
  type Labels,
  type OnCutSetting,
  parseRef,
  type SessionRef,
} from "@remex/domain";

/** Life of a session. */
export type SessionState = "OPEN" | "ENDING" | "ENDED";

/** What an agent stated and what its token allows: written when it opens or resumes a session. */
export interface SessionFacts {
  readonly instance: string;
  readonly registry: string;
  readonly kind: AgentKindWord;
  readonly queues: readonly string[];
  readonly labels: Labels;
  readonly slots: number;
  readonly group: string;
  readonly runtimes: readonly string[];
  readonly runtimeVersions: Labels;
  /** Public id of the token. */
  readonly token: string;
  /** Queues that the token allows; empty means all. */
  readonly scopeQueues: readonly string[];
  /** SHA-256 of the session key, in hex. */
  readonly keyDigest: string;
  readonly softwareVersion: string;
  readonly hostname: string;
  readonly address: string;
  /** Version and interval of the settings that the agent is welcomed with (T4). */
  readonly echoVersion?: number;
  readonly echoHeartbeatMs?: number;
}

/** An agent as the store knows it. Times are by the store's clock. */
export interface SessionRecord extends SessionFacts {
  readonly agent: string;
  readonly session: SessionRef;
  readonly state: SessionState;
  /** Why it is ENDING or ENDED; empty while OPEN. */
  readonly reason: string;
  readonly generation: number;
  readonly beatSequence: number;
  /** Time of the last renewing beat, or of the opening when there was none. */
  readonly beatAtMs: number;
  /** True once a beat renewed the lease. */
  readonly beaten: boolean;
  readonly openedAtMs: number;
  readonly availability: Availability;
  /** What an operator said with the availability; empty when nothing. */
  readonly controlNote: string;
  /** While DRAINING, when what still runs is stopped; zero when there is no deadline. */
  readonly drainAtMs: number;
  /** What its group says about cut-off work; undefined leaves it to the deployment (section 6). */
  readonly onCut: OnCutSetting | undefined;
  /** What its group says; undefined leaves it to the deployment (section 6). */
  readonly lostAfterMs: number | undefined;
  readonly health: AgentHealthWord;
  readonly healthReason: string;
  readonly healthSinceMs: number;
  readonly slotsUsed: number;
  /** Attempts that the store holds for it; zero when they were not counted. */
  readonly tasksHeld: number;
  /** Zero when no other instance asked for the name. */
  readonly conflictAtMs: number;
  readonly staleReports: number;
}

const jsonFields = ["queues", "labels", "runtimes", "runtimeVersions", "scopeQueues"] as const;

/** The facts as fields of the hash; lists and maps become JSON text. */
export function factsToFields(facts: Partial<SessionFacts>): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [name, value] of Object.entries(facts)) {
    fields[name] = typeof value === "object" ? JSON.stringify(value) : String(value);
  }
  return fields;
}

/** Reads a hash; undefined when it is not one of an agent. */
export function recordFromFields(
  agent: string,
  fields: Readonly<Record<string, string>>,
): SessionRecord | undefined {
  const session = parseRef(fields.session ?? "");
  if (session === undefined) return undefined;
  const text = (name: string): string => fields[name] ?? "";
  const number = (name: string): number => Number(fields[name] ?? 0);
  const json = Object.fromEntries(
    jsonFields.map((name) => [name, JSON.parse(fields[name] ?? "null") ?? []]),
  ) as Pick<SessionFacts, (typeof jsonFields)[number]>;
  return {
    ...json,
    agent,
    session,
    state: text("state") as SessionState,
    reason: text("reason"),
    instance: text("instance"),
    registry: text("registry"),
    kind: wordOf(agentKinds, text("kind")) as AgentKindWord,
    slots: number("slots"),
    group: text("group"),
    token: text("token"),
    keyDigest: text("keyDigest"),
    softwareVersion: text("softwareVersion"),
    hostname: text("hostname"),
    address: text("address"),
    generation: number("generation"),
    beatSequence: number("beatSeq"),
    beatAtMs: number("beatAtMs"),
    beaten: text("beaten") === "1",
    openedAtMs: number("openedAtMs"),
    availability: wordOf(availabilities, text("availability")) as Availability,
    controlNote: text("controlNote"),
    drainAtMs: number("drainAtMs"),
    onCut: onCutFromText(text("onCut")),
    lostAfterMs: text("lostAfterMs") === "" ? undefined : number("lostAfterMs"),
    health: wordOf(agentHealths, text("health")) as AgentHealthWord,
    healthReason: text("healthReason"),
    healthSinceMs: number("healthSinceMs"),
    slotsUsed: number("slotsUsed"),
    tasksHeld: number("held"),
    conflictAtMs: number("conflictAtMs"),
    staleReports: number("staleReports"),
  };
}

function wordOf<Word extends string>(words: readonly Word[], text: string): Word {
  const word = words.find((candidate) => candidate === text);
  if (word === undefined)
    throw new Error(`the store holds ${JSON.stringify(text)}, not a known word`);
  return word;
}

/** What a group says about cut-off work, as the store writes it: empty when nothing. */
export function onCutFromText(text: string): OnCutSetting | undefined {
  if (text === "") return undefined;
  return text === "ABORT" ? "ABORT" : "CONTINUE";
}
