// SPDX-License-Identifier: Apache-2.0
// Turns what passes by into facts, in one order, and gives each to the trace and to every check.

import { formatRef, refFromWire } from "@remex/domain";
import type { SessionResponse } from "@remex/proto/agent/v1";
import type { World } from "../engine/world.ts";
import type { StoreCall } from "../parts/service-part.ts";
import type { Work } from "../parts/task-program.ts";
import type { SeenCall, StoreRow } from "../redis/sim-redis.ts";
import type { Check, Fact, Known, PlannedFacts, Row } from "./facts.ts";
import { setTaps } from "./taps.ts";

export interface Violation {
  readonly rule: string;
  readonly atMs: number;
  readonly what: string;
}

interface MutableKnown extends Known {
  readonly tasks: Map<string, Row>;
  readonly sessions: Map<string, Row>;
  readonly planned: Map<string, PlannedFacts>;
}

interface StreamFacts {
  readonly deployment: string;
  readonly session: string;
  readonly generation: number;
}

export class Observer {
  readonly world: World;
  readonly known: MutableKnown;
  readonly violations: Violation[] = [];
  readonly #checks: readonly Check[];
  readonly #streams = new Map<object, StreamFacts>();

  constructor(
    world: World,
    checks: readonly Check[],
    known: Omit<Known, "tasks" | "sessions" | "planned">,
  ) {
    this.world = world;
    this.#checks = checks;
    this.known = { ...known, tasks: new Map(), sessions: new Map(), planned: new Map() };
    setTaps(world, {
      frameToAgent: (stream, registry, message) =>
        this.#frameToAgent(stream, registry, message as SessionResponse),
      streamGone: (stream) => this.#streamGone(stream),
      localBytes: (process, host, bytes, rate) => this.#localBytes(process, host, bytes, rate),
    });
  }

  /** Gives a fact to the trace and the checks. */
  note(fact: Fact): void {
    // Four a second of each monitor would hide everything else.
    if (fact.kind !== "scanned") this.world.trace.add(fact.atMs, fact.kind, detailOf(fact));
    for (const check of this.#checks) {
      const what = check.take(fact, this.known);
      if (what === undefined) continue;
      this.violations.push({ rule: check.rule, atMs: fact.atMs, what });
      this.world.trace.add(fact.atMs, "VIOLATION", `${check.rule}: ${what}`);
    }
  }

  began(work: Work): void {
    this.note({ kind: "began", atMs: this.world.nowMs, ...work });
  }

  ended(work: Work, how: string): void {
    this.note({ kind: "ended", atMs: this.world.nowMs, how, ...work });
  }

  fault(what: string, target: string): void {
    this.note({ kind: "fault", atMs: this.world.nowMs, what, target });
  }

  revoked(token: string): void {
    this.note({ kind: "revoked", atMs: this.world.nowMs, token });
  }

  /** A call of the store: what it changed, then what it answered. */
  storeCall({ about, reply, atMs, touched }: SeenCall): void {
    const call = about as StoreCall;
    const changes = touched.map((row) => this.#change(row));
    for (const { place, before, after, isTask, deployment, name } of changes) {
      (isTask ? this.known.tasks : this.known.sessions).set(place, after ?? {});
      if (after === undefined) (isTask ? this.known.tasks : this.known.sessions).delete(place);
      const shared = { atMs, deployment, before, after, by: call.name };
      if (isTask) this.note({ kind: "taskChanged", task: name, ...shared });
      else this.note({ kind: "sessionChanged", agent: name, ...shared });
    }
    if (call.name.startsWith("settle_reports")) this.#reports(call, reply, atMs, changes);
    else if (call.name.startsWith("renew_leases")) this.#beats(call, reply, atMs);
    else if (call.name.startsWith("expire_leases")) this.note({ kind: "scanned", atMs });
  }

  /** The store is another one: what it has now. */
  storeReset(rows: readonly StoreRow[]): void {
    this.known.tasks.clear();
    this.known.sessions.clear();
    for (const row of rows) {
      const { place, isTask } = placeOf(row.key);
      (isTask ? this.known.tasks : this.known.sessions).set(place, row.fields);
    }
    const { tasks, sessions } = this.known;
    this.note({ kind: "storeReset", atMs: this.world.nowMs, tasks, sessions });
  }

  #change(row: StoreRow) {
    const at = placeOf(row.key);
    const before = (at.isTask ? this.known.tasks : this.known.sessions).get(at.place);
    const after = Object.keys(row.fields).length === 0 ? undefined : row.fields;
    return { ...at, before, after };
  }

  #reports(
    call: StoreCall,
    reply: unknown,
    atMs: number,
    changes: readonly { readonly place: string; readonly before: Row | undefined }[],
  ): void {
    const { deployment, groups } = call.args as {
      deployment: string;
      groups: readonly { reports: readonly { id: string; attempt: string }[] }[];
    };
    const parsed = call.parse(reply) as { judgements?: readonly { verdict: string }[] };
    const reports = groups.flatMap((group) => group.reports);
    for (const [index, { id, attempt }] of reports.entries()) {
      const place = `${deployment}/${id}`;
      const change = changes.find((changed) => changed.place === place);
      const after = this.known.tasks.get(place);
      this.note({
        ...{ kind: "reportJudged", atMs, deployment, task: id, attempt },
        verdict: parsed.judgements?.[index]?.verdict ?? "none",
        before: change === undefined ? after : change.before,
        after,
        alone: reports.filter((report) => report.id === id).length === 1,
      });
    }
  }

  #beats(call: StoreCall, reply: unknown, atMs: number): void {
    const {
      deployment,
      beats,
      monitor = "",
    } = call.args as {
      deployment: string;
      monitor?: string;
      beats: readonly { agent: string; session: Parameters<typeof formatRef>[0] }[];
    };
    const parsed = call.parse(reply) as { answers?: readonly { kind: string }[] };
    for (const [index, { agent, session }] of beats.entries()) {
      if (parsed.answers?.[index]?.kind !== "taken") continue;
      this.note({
        kind: "beatTaken",
        atMs,
        deployment,
        agent,
        session: formatRef(session),
        monitor,
      });
    }
  }

  #frameToAgent(stream: object, registry: string, { events }: SessionResponse): void {
    const atMs = this.world.nowMs;
    for (const { event } of events) {
      if (event.case === "welcome") {
        const { deployment, session, generation } = event.value;
        const facts = { deployment, session: textOf(session), generation: Number(generation) };
        this.#streams.set(stream, facts);
        this.note({
          kind: "sent",
          atMs,
          registry,
          what: "welcome",
          task: "",
          attempt: "",
          ...facts,
        });
        continue;
      }
      const facts = this.#streams.get(stream);
      if (facts === undefined) continue;
      if (event.case === "confirm") {
        const { task, attempt } = event.value;
        const what = { what: "confirm" as const, task, attempt: textOf(attempt) };
        this.note({ kind: "sent", atMs, registry, ...what, ...facts });
      } else if (event.case === "beatAck") {
        this.note({
          kind: "sent",
          atMs,
          registry,
          what: "beatAck",
          task: "",
          attempt: "",
          ...facts,
        });
      }
    }
  }

  #streamGone(stream: object): void {
    const facts = this.#streams.get(stream);
    if (facts !== undefined) this.note({ kind: "streamGone", atMs: this.world.nowMs, ...facts });
    this.#streams.delete(stream);
  }

  /** Frames of the runner's contract: a length, then JSON. */
  #localBytes(process: string, host: string, bytes: Buffer, rate: number): void {
    const text = bytes.toString("utf8", 4);
    if (!text.includes('"lease"')) return;
    const { events } = JSON.parse(text) as {
      events: { lease?: { session: LeaseSession; remaining: string } }[];
    };
    for (const { lease } of events) {
      if (lease === undefined) continue;
      const untilMs = this.world.nowMs + (Number.parseFloat(lease.remaining) * 1_000) / rate;
      const session = `${lease.session.epoch}.${lease.session.number}`;
      this.note({ kind: "believes", atMs: this.world.nowMs, host, process, session, untilMs });
    }
  }
}

interface LeaseSession {
  readonly epoch: string;
  readonly number: string;
}

/** Tells which runs are over in the store: the row of a task names an attempt that has ended. */
function placeOf(key: string) {
  const [, deployment = "", kind = "", name = ""] = /^rmx:\{([^}]*)\}:(\w+):(.*)$/.exec(key) ?? [];
  return { deployment, name, isTask: kind === "task", place: `${deployment}/${name}` };
}

function textOf(ref: Parameters<typeof refFromWire>[0]): string {
  const parsed = refFromWire(ref);
  return parsed === undefined ? "" : formatRef(parsed);
}

/** A fact as one line of the trace. */
function detailOf(fact: Fact): string {
  switch (fact.kind) {
    case "taskChanged":
      return `${fact.task} ${taskLine(fact.before)} -> ${taskLine(fact.after)} ${fact.by}`;
    case "sessionChanged":
      return `${fact.agent} ${sessionLine(fact.before)} -> ${sessionLine(fact.after)} ${fact.by}`;
    case "storeReset":
      return `${fact.tasks.size} tasks ${fact.sessions.size} sessions`;
    default: {
      const { kind: _kind, atMs: _atMs, ...rest } = fact;
      const shown: Record<string, unknown> = { ...rest };
      delete shown.before;
      delete shown.after;
      return Object.values(shown).map(String).join(" ");
    }
  }
}

function taskLine(row: Row | undefined): string {
  if (row === undefined) return "none";
  const { state, attempt = "", stage = "", agent = "", reason = "", attemptReason = "" } = row;
  return `[${[state, attempt, stage, agent, reason, attemptReason].join(" ").trim()}]`;
}

function sessionLine(row: Row | undefined): string {
  if (row === undefined) return "none";
  const { session, state, health, availability, reason = "", generation, beatSeq } = row;
  return `[${[session, state, health, availability, reason, generation, beatSeq].join(" ").trim()}]`;
}
