// SPDX-License-Identifier: Apache-2.0
// The functions by which leases live and end: beats, the scan of ages, and the brake (PROTOCOL section 5).
import { type AgentHealthWord, formatRef, type SessionRef } from "@remex/domain";
import { type Common, jsonFunction, type Refused } from "./session-call.ts";
import { factsToFields, type SessionFacts } from "./session-record.ts";

/** A beat as the store judges it. */
export interface LeaseBeat {
  readonly agent: string;
  readonly session: SessionRef;
  readonly generation: number;
  readonly sequence: number;
  /** Version of the settings that the agent judges by; absent when it did not say. */
  readonly intervalVersion?: number;
  readonly loopTurns: number;
  readonly loopAgeMs: number;
  readonly runnerState: "READY" | "STARTING" | "LOST";
  readonly slotsUsed: number;
  /** What the agent can do, when the beat says so. */
  readonly capabilities?: Partial<SessionFacts>;
}

export type BeatAnswer =
  | {
      readonly kind: "taken";
      readonly sequence: number;
      readonly health: AgentHealthWord;
      readonly reason: string;
      readonly changed: boolean;
    }
  | { readonly kind: "ending"; readonly reason: string }
  | { readonly kind: "ended"; readonly reason: string }
  | { readonly kind: "old_stream" };

export type RenewReply =
  | Refused
  | {
      readonly kind: "renewed";
      readonly intervalVersion: number;
      readonly answers: readonly BeatAnswer[];
    };

/** A change of an agent's health that the scan found. */
export interface LeaseVerdict {
  readonly agent: string;
  readonly session: string;
  readonly health: AgentHealthWord;
  readonly reason: string;
}

/** What a monitor knows when it judges ages (L3). */
export interface MonitorView {
  /** Id of the monitor's replica. */
  readonly monitor: string;
  /** True at its first look at this deployment since its start. */
  readonly first: boolean;
  /** Time since its last look at this deployment that was answered, by its own clock. */
  readonly sinceMs?: number;
  /** Registries that it hears, each with the time since it last did, in ms. */
  readonly heard: Readonly<Record<string, number>>;
  /** Registries whose record has not expired. */
  readonly living: readonly string[];
}

/** A brake that holds agents back (L4). Times are by the store's clock. */
export interface Brake {
  /** `*` for the whole deployment, else the registry. */
  readonly scope: string;
  readonly engagedAtMs: number;
  /** Live agents when it engaged. */
  readonly base: number;
  /** Most agents that it ends in a second. */
  readonly budget: number;
  /** Agents that became SUSPECT by it so far. */
  readonly members: number;
  /** Those of them that it has ended. */
  readonly ended: number;
  /** Those that it still holds. */
  readonly suspects: number;
  /** By how much an operator has extended it. */
  readonly extraMs: number;
  /** True once an operator let it go. */
  readonly released: boolean;
}

export type ExpireReply =
  | Refused
  | {
      readonly kind: "scanned";
      /** Redis TIME of the judgement. */
      readonly nowMs: number;
      readonly more: boolean;
      readonly verdicts: readonly LeaseVerdict[];
      /** The brakes that hold agents now. */
      readonly brakes: readonly Brake[];
    };

export type BrakeReply = Refused | { readonly kind: "changed"; readonly scopes: readonly string[] };

export const renewLeases = jsonFunction<
  Common & { monitor: string; beats: readonly LeaseBeat[] },
  RenewReply
>("renew_leases_v1", ["renewed"], ({ now, monitor, beats }, epoch) => [
  epoch,
  now,
  JSON.stringify(
    beats.map(({ capabilities, ...beat }) => ({
      ...beat,
      session: formatRef(beat.session),
      ...(capabilities === undefined ? {} : { facts: factsToFields(capabilities) }),
    })),
  ),
  monitor,
]);

export const expireLeases = jsonFunction<Common & { rows: number; view: MonitorView }, ExpireReply>(
  "expire_leases_v1",
  ["scanned"],
  ({ now, rows, view }, epoch) => [epoch, now, rows, JSON.stringify(view)],
);

/** A hello of a session that was turned away for lack of room (L6). */
export interface TurnedAwayHello {
  readonly agent: string;
  readonly session: SessionRef;
  /** SHA-256 of the session key that it showed, in hex. */
  readonly keyDigest: string;
}

export const noteTurnedAway = jsonFunction<
  Common & { hellos: readonly TurnedAwayHello[] },
  Refused | { kind: "noted"; count: number }
>("note_turned_away_v1", ["noted"], ({ now, hellos }, epoch) => [
  epoch,
  now,
  JSON.stringify(hellos.map((hello) => ({ ...hello, session: formatRef(hello.session) }))),
]);

export const releaseBrake = jsonFunction<{ deployment: string; scope: string }, BrakeReply>(
  "release_brake_v1",
  ["changed"],
  ({ scope }, epoch) => [epoch, scope],
);

export const extendBrake = jsonFunction<
  { deployment: string; scope: string; byMs: number },
  BrakeReply
>("extend_brake_v1", ["changed"], ({ scope, byMs }, epoch) => [epoch, scope, byMs]);

export const readBrakes = jsonFunction<
  { deployment: string },
  { kind: "brakes"; brakes: readonly Brake[] }
>("read_brakes_v1", ["brakes"], (_args, epoch) => [epoch]);
