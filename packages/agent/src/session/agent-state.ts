// SPDX-License-Identifier: Apache-2.0
// What the agent knows and may do: the state, events and effects of its machine.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Lease, type NumberedRef, noLease } from "@remex/domain";
import type {
  AgentEventSchema,
  BeatSchema,
  InventorySchema,
  InventoryVerdict,
  ReportVerdict,
} from "@remex/proto/agent/v1";
import type { OnCut, OnLost, Outcome, TaskSpec } from "@remex/proto/common/v1";
import type { StopReasonJson } from "@remex/proto/runner/v1";
import type { StreamEnd } from "./dial-outcome.ts";

/** What never changes while the agent runs. */
export interface AgentIdentity {
  readonly slots: number;
  /** The instance that had the state directory before, as it was noted there (T6). */
  readonly former?: FormerInstance | undefined;
}

/** An instance whose runner held the state directory's lock before this one's. */
export interface FormerInstance {
  /** 16 bytes. */
  readonly instance: Uint8Array;
  readonly session: NumberedRef | undefined;
}

/** What the agent judges by (PROTOCOL T4), in ms. */
export interface AgentSettings {
  readonly version: number;
  readonly heartbeatMs: number;
  readonly leaseMs: number;
  readonly windowMs: number;
  readonly stopMs: number;
  readonly onCut: OnCut;
}

/** The session that the agent believes in. Gone when it is over or ENDING. */
export interface Session {
  readonly ref: NumberedRef;
  /** Greatest generation dialled; the next dial takes a higher one. */
  generation: number;
  /** Last number given to a beat or accept (S2). */
  sequence: number;
  settings: AgentSettings;
  /** Newer settings that no acknowledged beat has echoed yet; the smaller values hold (T4). */
  pending: { readonly settings: AgentSettings; echoedFrom: number | undefined } | undefined;
  available: boolean;
  /** With DRAINING: when what still runs is stopped. */
  drainAtMs: number | undefined;
}

/**
 * The connection.
 * - `idle`: not wanted yet: the runner has not said what its journal holds. Out: `runnerHello`.
 * - `waiting`: a timer runs. Out: `dialTimer`.
 * - `dialing`: hello was sent. Out: `welcome`, `streamEnded`, or no answer in time.
 * - `online`: welcomed. Out: `streamEnded`, go-away, no acknowledgement for 1.5 H, leaving.
 * - `left`: the agent said goodbye. Nothing leads out.
 */
export type Connection =
  | { readonly kind: "idle" }
  | { readonly kind: "waiting"; readonly dial: number }
  | {
      readonly kind: "dialing";
      readonly dial: number;
      readonly resuming: boolean;
      readonly helloAtMs: number;
    }
  | {
      readonly kind: "online";
      readonly dial: number;
      readonly openedAtMs: number;
      lastAckAtMs: number;
      acknowledged: boolean;
      nextBeatAtMs: number;
      toldCapabilities: boolean;
    }
  | { readonly kind: "left" };

/** - `starting`: connected, loading; - `ready`: takes work; - `lost`: not connected (G4). */
export type RunnerView =
  | { readonly kind: "starting"; readonly runtimes: readonly string[] }
  | { readonly kind: "ready"; readonly runtimes: readonly string[] }
  | { readonly kind: "lost" };

/** The facts of an attempt that an inventory shows (S6). */
export interface AttemptFacts {
  readonly idempotencyKey: string;
  readonly payloadDigest: Uint8Array;
  readonly queue: string;
  readonly requiredLabels: { [name: string]: string };
  readonly slotCost: number;
  readonly onLost: OnLost;
  readonly onCut: OnCut;
  readonly lostAfterMs: number | undefined;
}

/**
 * An attempt that the agent holds.
 * - `accepted`: slots are reserved, the confirmation is waited for. Out: confirm, withdraw, decline.
 * - `started`: handed to the runner, which may have started it. Out: its end, or its refusal.
 * - `ended`: in the runner's journal, waiting for the answer to its report (C1). Out: the answer.
 */
export interface Held {
  readonly key: string;
  readonly task: string;
  readonly attempt: NumberedRef;
  readonly facts: AttemptFacts;
  stage: Stage;
}

export type Stage =
  | { readonly kind: "accepted"; readonly sentAtMs: number; readonly spec: TaskSpec }
  | { readonly kind: "started"; readonly told: boolean; readonly stopping: boolean }
  | {
      readonly kind: "ended";
      readonly outcome: Outcome;
      readonly digest: Uint8Array;
      /** When the report is sent (again) on a stream that stays. */
      dueAtMs: number;
    };

/**
 * How the agent takes itself out (O2).
 * - `none`; - `draining`: no new work, what runs goes on; - `stopping`: what runs is being stopped;
 * - `leaving`: goodbye was said, the stream's end is waited for a moment.
 */
export type Drain =
  | { readonly kind: "none" }
  | {
      readonly kind: "draining";
      readonly reason: string;
      readonly deadlineAtMs: number | undefined;
      /** Since when nothing runs and only reports wait; undefined while something runs. */
      emptySinceMs: number | undefined;
    }
  | { readonly kind: "leaving"; readonly untilMs: number };

/** Events of one attempt, oldest first. */
export interface EmittedEvents {
  readonly task: string;
  readonly attempt: NumberedRef;
  events: { readonly number: number; readonly payload: Uint8Array }[];
  /** When they are sent again on a stream that stays. */
  dueAtMs: number;
}

export interface AgentState {
  readonly identity: AgentIdentity;
  connection: Connection;
  /** Number of the latest dial; events of older ones are passed over. */
  dial: number;
  /** Dials since a connection last held. */
  tries: number;
  /** Hellos said; each carries its number. */
  hellos: number;
  /** Taken over by the next new session; undefined once there was one. */
  former: FormerInstance | undefined;
  /** The state directory is locked: what an older instance left there may run, so no session is to be had. */
  unguarded: boolean;
  /** Attempts whose calls of Airflow's API wait for the control plane's word (E1), by key. */
  readonly keptCalls: Map<string, AttemptEventName>;
  /** How many kept calls of held attempts were dropped, by key; their reports say it (E1). */
  readonly droppedCalls: Map<string, number>;
  /** When that word was asked for last on this stream. */
  callsAskedAtMs: number;
  /** Why the control plane refused the agent last, so that the same is told once. */
  refusal: string | undefined;
  session: Session | undefined;
  lease: Lease;
  runner: RunnerView;
  readonly held: Map<string, Held>;
  /** Events of running triggers that are not known to be durable, by attempt (G3). */
  readonly emitted: Map<string, EmittedEvents>;
  /** Highest attempt seen per task (S1), oldest first; bounded, since S3 guards what fell out. */
  readonly seen: Map<string, NumberedRef>;
  slotsUsed: number;
  drain: Drain;
  /** Set while the session is ENDING because an operator deleted the agent (O3). */
  removal: "stopping" | "said" | undefined;
  /** Greatest epoch seen. */
  epoch: number;
  /** Changes whenever the inventory does; the digest is computed again only then. */
  inventoryVersion: number;
  digestCache: { readonly version: number; readonly digest: Uint8Array } | undefined;
  /** Work-loop turns, for the beat's stamp (T5). */
  turns: number;
  lastTurnAtMs: number;
}

export function createAgentState(identity: AgentIdentity, nowMs: number): AgentState {
  return {
    identity,
    connection: { kind: "idle" },
    dial: 0,
    tries: 0,
    hellos: 0,
    former: identity.former,
    unguarded: false,
    keptCalls: new Map(),
    droppedCalls: new Map(),
    callsAskedAtMs: Number.NEGATIVE_INFINITY,
    refusal: undefined,
    session: undefined,
    lease: noLease,
    runner: { kind: "lost" },
    held: new Map(),
    emitted: new Map(),
    seen: new Map(),
    slotsUsed: 0,
    drain: { kind: "none" },
    removal: undefined,
    epoch: 0,
    inventoryVersion: 0,
    digestCache: undefined,
    turns: 0,
    lastTurnAtMs: nowMs,
  };
}

/** An attempt as events name it. */
export interface AttemptEventName {
  readonly task: string;
  readonly attempt: NumberedRef;
}

/** An attempt of the runner's journal. */
export interface JournalledAttempt extends AttemptEventName {
  readonly facts: AttemptFacts;
  /** Absent while it runs. */
  readonly outcome: Outcome | undefined;
}

export interface WelcomeFacts {
  /** Slug of the deployment that the token belongs to. */
  readonly deployment: string;
  readonly session: NumberedRef;
  readonly generation: number;
  readonly resumed: boolean;
  readonly settings: AgentSettings;
  readonly epoch: number;
  readonly available: boolean;
}

/** What the control plane says on the session stream. */
export type ServerSays =
  | { readonly kind: "welcome"; readonly welcome: WelcomeFacts }
  | { readonly kind: "beatAck"; readonly sequence: number; readonly epoch: number }
  | ({
      readonly kind: "offer";
      readonly spec: TaskSpec;
      readonly facts: AttemptFacts;
    } & AttemptEventName)
  | ({ readonly kind: "withdraw"; readonly reason: string } & AttemptEventName)
  /** `onCut` is what the store has the attempt under; unspecified leaves it to the settings. */
  | ({ readonly kind: "confirm"; readonly onCut: OnCut } & AttemptEventName)
  | ({
      readonly kind: "reportAnswer";
      readonly verdict: ReportVerdict;
      readonly reason: string;
      readonly retryAfterMs: number | undefined;
    } & AttemptEventName)
  | ({ readonly kind: "cancel" } & AttemptEventName)
  | ({
      readonly kind: "eventAnswer";
      readonly durable: number;
      /** Why the later ones were refused; undefined when none was. */
      readonly refusal: string | undefined;
    } & AttemptEventName)
  | {
      readonly kind: "inventoryAnswer";
      readonly verdicts: readonly (AttemptEventName & { readonly verdict: InventoryVerdict })[];
    }
  /** Epoch 0: not stated. */
  | { readonly kind: "inventoryRequest"; readonly epoch: number }
  | { readonly kind: "settings"; readonly settings: AgentSettings }
  | {
      readonly kind: "control";
      /** Absent when unchanged. */
      readonly available: boolean | undefined;
      readonly draining: boolean;
      readonly drainDeadlineMs: number | undefined;
    }
  | { readonly kind: "sessionEnding"; readonly reason: string }
  | { readonly kind: "sessionEnded"; readonly reason: string; readonly mayReturn: boolean }
  | { readonly kind: "goAway"; readonly reason: string; readonly dialAfterMs: number };

/** What the runner says. */
export type RunnerSays =
  | {
      readonly kind: "runnerHello";
      readonly runtimes: readonly string[];
      readonly journal: readonly JournalledAttempt[];
    }
  /** Another runner, or what one left behind, holds the state directory's lock. */
  | { readonly kind: "stateLocked" }
  | { readonly kind: "runnerReady"; readonly ready: boolean }
  | { readonly kind: "runnerLost" }
  | ({
      readonly kind: "attemptStarted";
      readonly pid: number | undefined;
      readonly startedAtWallMs: number;
    } & AttemptEventName)
  | ({
      readonly kind: "attemptRefused";
      readonly reason: string;
      readonly message: string;
    } & AttemptEventName)
  | ({
      readonly kind: "attemptEmitted";
      readonly number: number;
      readonly payload: Uint8Array;
    } & AttemptEventName)
  | ({ readonly kind: "attemptEnded"; readonly outcome: Outcome } & AttemptEventName);

export type AgentMachineEvent =
  | {
      readonly kind: "server";
      readonly dial: number;
      /** Session that the frame is for; absent when the frame names none. */
      readonly session: NumberedRef | undefined;
      readonly says: ServerSays;
    }
  | RunnerSays
  | { readonly kind: "dialTimer"; readonly dial: number }
  /** A call of the attempt is kept on disk. */
  | ({ readonly kind: "callsKept" } & AttemptEventName)
  /** Its kept calls were sent, but for so many that were dropped. */
  | ({ readonly kind: "callsSettled"; readonly dropped: number } & AttemptEventName)
  | { readonly kind: "streamEnded"; readonly dial: number; readonly end: StreamEnd }
  /** The work loop turned; also when deadlines are looked at. */
  | { readonly kind: "turn" }
  | { readonly kind: "drain"; readonly reason: string; readonly deadlineMs: number | undefined }
  /** Stop what runs, then leave. */
  | { readonly kind: "stopWork"; readonly reason: string };

/** An event for the control plane, as the contract has it. */
export type AgentSays = NonNullable<MessageInitShape<typeof AgentEventSchema>["event"]>;

export interface HelloPlan {
  readonly resume: { readonly session: NumberedRef; readonly generation: number } | undefined;
  readonly inventory: MessageInitShape<typeof InventorySchema>;
  readonly epochSeen: number;
  /** Number of the hello. */
  readonly dial: number;
  /** With a request for a new session: the instance that it takes over (T6). */
  readonly takeover: FormerInstance | undefined;
  readonly unguarded: boolean;
}

export type AgentEffect =
  /** Wait between `floorMs` and `floorMs` + `jitterMs`, evenly, then report `dialTimer`. */
  | {
      readonly kind: "waitToDial";
      readonly dial: number;
      readonly floorMs: number;
      readonly jitterMs: number;
    }
  | { readonly kind: "dial"; readonly dial: number; readonly hello: HelloPlan }
  | { readonly kind: "hangUp"; readonly dial: number }
  | { readonly kind: "send"; readonly says: AgentSays }
  /** A beat; the shell adds the capabilities, which it alone knows, when they are wanted. */
  | {
      readonly kind: "beat";
      readonly beat: MessageInitShape<typeof BeatSchema>;
      readonly withCapabilities: boolean;
    }
  | ({
      readonly kind: "startWork";
      readonly session: NumberedRef;
      readonly windowUntilMs: number;
      readonly spec: TaskSpec;
      readonly onCut: OnCut;
      readonly facts: AttemptFacts;
    } & AttemptEventName)
  | ({ readonly kind: "stopWork"; readonly reason: StopReasonJson } & AttemptEventName)
  | ({ readonly kind: "forgetWork" } & AttemptEventName)
  | ({ readonly kind: "eventsDurable"; readonly durable: number } & AttemptEventName)
  | {
      readonly kind: "renewRunner";
      readonly session: NumberedRef;
      readonly untilMs: number;
      readonly stopMs: number;
    }
  /** The attempt is current: send its kept calls, in order (E1). */
  | ({ readonly kind: "sendCalls" } & AttemptEventName)
  /** It is not: drop them. */
  | ({ readonly kind: "dropCalls" } & AttemptEventName)
  /** The attempt ended: what served it alone (its loopback address) goes. */
  | ({ readonly kind: "attemptOver" } & AttemptEventName)
  /** The agent has left: end the runner and the process. */
  | { readonly kind: "leave"; readonly reason: string }
  | {
      readonly kind: "log";
      readonly level: "info" | "warn" | "error";
      readonly message: string;
      readonly fields: Readonly<Record<string, unknown>>;
    };
