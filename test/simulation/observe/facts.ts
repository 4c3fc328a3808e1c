// SPDX-License-Identifier: Apache-2.0
// What was seen to happen, from the store, the machines and the wire: the only thing that checks judge by.

/** The fields of a task or a session as the store has them. */
export type Row = Readonly<Record<string, string>>;

export type Fact = { readonly atMs: number } & (
  | {
      readonly kind: "taskChanged";
      readonly deployment: string;
      readonly task: string;
      readonly before: Row | undefined;
      readonly after: Row | undefined;
      /** Function of the store that did it. */
      readonly by: string;
    }
  | {
      readonly kind: "sessionChanged";
      readonly deployment: string;
      readonly agent: string;
      readonly before: Row | undefined;
      readonly after: Row | undefined;
      readonly by: string;
    }
  /** A report was judged; follows the change that it made. */
  | {
      readonly kind: "reportJudged";
      readonly deployment: string;
      readonly task: string;
      readonly attempt: string;
      readonly verdict: string;
      /** The task as it was before the call, and after it. */
      readonly before: Row | undefined;
      readonly after: Row | undefined;
      /** Other reports of the same task were judged in the same call. */
      readonly alone: boolean;
    }
  /** A beat renewed a lease. */
  | {
      readonly kind: "beatTaken";
      readonly deployment: string;
      readonly agent: string;
      readonly session: string;
      readonly monitor: string;
    }
  /** A monitor has looked at the leases: it lives, and reaches the store. */
  | { readonly kind: "scanned" }
  /** A token ends. */
  | { readonly kind: "revoked"; readonly token: string }
  /** Work of an attempt runs on a machine, or runs no longer. */
  | ({ readonly kind: "began" } & WorkFact)
  | ({ readonly kind: "ended"; readonly how: string } & WorkFact)
  /** A registry sent something to an agent. */
  | {
      readonly kind: "sent";
      readonly registry: string;
      readonly deployment: string;
      readonly session: string;
      readonly what: "welcome" | "confirm" | "beatAck";
      readonly task: string;
      readonly attempt: string;
      readonly generation: number;
    }
  /** A stream of a session ended at a registry. */
  | {
      readonly kind: "streamGone";
      readonly deployment: string;
      readonly session: string;
      readonly generation: number;
    }
  /** An agent told its runner until when it believes its lease. */
  | {
      readonly kind: "believes";
      readonly host: string;
      readonly process: string;
      readonly session: string;
      readonly untilMs: number;
    }
  /** The simulation harmed something. */
  | { readonly kind: "fault"; readonly what: string; readonly target: string }
  /** The store is another one than before: what it had last is gone. */
  | {
      readonly kind: "storeReset";
      readonly tasks: ReadonlyMap<string, Row>;
      readonly sessions: ReadonlyMap<string, Row>;
    }
  | { readonly kind: "healed" }
  | { readonly kind: "over"; readonly unfinished: readonly string[] }
);

export interface WorkFact {
  readonly host: string;
  readonly pid: number;
  readonly task: string;
  readonly attempt: string;
}

export type FactOf<Kind extends Fact["kind"]> = Extract<Fact, { kind: Kind }>;

/** What checks may know beside the facts. */
export interface Known {
  /** Tasks and sessions as the store has them, by "deployment/name". */
  readonly tasks: ReadonlyMap<string, Row>;
  readonly sessions: ReadonlyMap<string, Row>;
  /** How each task was planned, by its id. */
  readonly planned: ReadonlyMap<string, PlannedFacts>;
  readonly agents: readonly {
    readonly name: string;
    readonly host: string;
    readonly slots: number;
  }[];
  readonly limitMs: number;
  readonly leaseMs: number;
  readonly stopMs: number;
}

export interface PlannedFacts {
  readonly slotCost: number;
  readonly onCut: "CONTINUE" | "ABORT";
  readonly onLost: "REQUEUE" | "FAIL";
  readonly exitCode: number;
}

/** A check of one invariant: takes every fact once, in order, and says what is wrong. */
export interface Check {
  readonly rule: string;
  take(fact: Fact, known: Known): string | undefined;
}
