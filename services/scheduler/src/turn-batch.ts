// SPDX-License-Identifier: Apache-2.0
// What one turn of the event loop has gathered for one deployment, by kind of call.

import type {
  AcceptGroup,
  AttemptNote,
  DeclinedAttempt,
  EventGroup,
  EventItem,
  ReportGroup,
  ReportItem,
  SubmitAnswer,
  SubmitItem,
} from "@remex/store";
import type { StatedInventory } from "./inventory-wire.ts";
import type { Recipient } from "./outbox.ts";
import type { Said } from "./said.ts";

/** Submissions of one call that wait for their answers. */
export interface WaitingSubmit {
  readonly items: readonly SubmitItem[];
  readonly resolve: (answers: readonly SubmitAnswer[] | "refused") => void;
  readonly reject: (error: unknown) => void;
}

interface WithRecipient {
  readonly to: Recipient;
}

type Accepts = AcceptGroup & WithRecipient & { readonly accepts: AcceptGroup["accepts"][number][] };
type Events = EventGroup & WithRecipient & { readonly events: EventItem[] };
type Reports = ReportGroup & WithRecipient & { readonly reports: ReportItem[] };

/** Things to be done in one turn. */
export class TurnBatch {
  readonly submits: WaitingSubmit[] = [];
  readonly accepts = new Map<string, Accepts>();
  readonly reports = new Map<string, Reports>();
  /** Events of triggers, by agent and session. */
  readonly events = new Map<string, Events>();
  readonly declines: DeclinedAttempt[] = [];
  readonly notes: (AttemptNote & { readonly note: string })[] = [];
  /** Starts, by "task attempt". */
  readonly starts = new Map<string, AttemptNote & { readonly note: "" }>();
  readonly inventories = new Map<string, WithRecipient & { readonly said: StatedInventory }>();
  /** Agents that are to get no work, by agent and session. */
  readonly withdrawals = new Map<string, WithRecipient & { readonly reason: string }>();

  get empty(): boolean {
    return (
      this.submits.length === 0 &&
      this.accepts.size === 0 &&
      this.reports.size === 0 &&
      this.events.size === 0 &&
      this.declines.length === 0 &&
      this.notes.length === 0 &&
      this.starts.size === 0 &&
      this.inventories.size === 0 &&
      this.withdrawals.size === 0
    );
  }

  add(to: Recipient, said: Said): void {
    const { agent, session } = to;
    const name = `${agent} ${session}`;
    switch (said.kind) {
      case "accept": {
        const { id, attempt, sequence } = said;
        const group = this.accepts.get(name);
        if (group) group.accepts.push({ id, attempt, sequence });
        else this.accepts.set(name, { to, agent, session, accepts: [{ id, attempt, sequence }] });
        return;
      }
      case "decline":
        this.#addDecline(agent, said);
        return;
      case "progress": {
        const { id, attempt, note } = said;
        if (note === "") this.starts.set(`${id} ${attempt}`, { agent, id, attempt, note });
        else this.notes.push({ agent, id, attempt, note });
        return;
      }
      case "report":
        this.#addReport(to, name, said.report);
        return;
      case "event": {
        const { id, attempt, number, known, payload } = said;
        const item = { id, attempt, number, known, payload };
        const group = this.events.get(name);
        if (group) group.events.push(item);
        else this.events.set(name, { to, agent, session, events: [item] });
        return;
      }
      case "inventory": {
        this.inventories.set(name, { to, said });
        return;
      }
      default:
        said satisfies never;
    }
  }

  withdraw(to: Recipient, reason: string): void {
    this.withdrawals.set(`${to.agent} ${to.session}`, { to, reason });
  }

  #addDecline(agent: string, said: Extract<Said, { kind: "decline" }>): void {
    const { id, attempt, reason, message } = said;
    this.declines.push({ agent, id, attempt, reason, message });
  }

  // A start and an end of one turn are one change in the store: short tasks cost one call less.
  #addReport(to: Recipient, name: string, report: ReportItem): void {
    const { agent, session } = to;
    const start = `${report.id} ${report.attempt}`;
    const started = this.starts.get(start)?.agent === agent && this.starts.delete(start);
    const item = started ? { ...report, started } : report;
    const group = this.reports.get(name);
    if (group) group.reports.push(item);
    else this.reports.set(name, { to, agent, session, reports: [item] });
  }
}
