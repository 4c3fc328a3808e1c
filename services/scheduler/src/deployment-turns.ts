// SPDX-License-Identifier: Apache-2.0
// Carries one deployment's work turn by turn: one call per kind, one frame per registry.

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Pacer } from "@remex/runtime";
import type { Claimed, EventJudgement, SubmitAnswer, SubmitItem, TaskRefused } from "@remex/store";
import { AttachedAgents, type ClaimPlan, makeRoom } from "./attached-agents.ts";
import { inventoryItem } from "./inventory-wire.ts";
import { Outbox, type Recipient } from "./outbox.ts";
import type { Said } from "./said.ts";
import type { StoreCallKind } from "./scheduler-metrics.ts";
import {
  cancelEvent,
  confirmEvent,
  eventAnswerEvent,
  inventoryAnswerEvent,
  offerEvent,
  reportAnswerEvent,
  withdrawEvent,
} from "./tell-wire.ts";
import { TurnBatch } from "./turn-batch.ts";
import type { DeploymentTurnsDeps } from "./turn-deps.ts";

/** How long an offer stands, in the store and for the agent. */
export const offerTtlMs = 5_000;
const offerTtl = durationFromMs(offerTtlMs);
/** Most tasks of one claim, so that one call never keeps Redis busy for long. */
export const mostClaimed = 500;
/** How long an agent that declined or was found unfit gets no offers. */
const pauseMs = 500;
/**
 * How far apart the turns of a busy deployment are. A turn costs calls of the store and frames to agents,
 * each of which costs more than most of what it carries; a rare turn is not held back.
 */
const turnPaceMs = 2;
/** How long an agent that was full waits for more of its slots before it is refilled. */
const refillWaitMs = 3;
/** How long a turn waits after one that the store did not answer. */
const storeAwayPauseMs = 250;

/**
 * One deployment in this process. Turns never overlap: what arrives while the calls of one are under
 * way is the next one's batch, so that batches grow with load. The calls of a turn go out together, in
 * this order, and Redis runs them in it: submit, inventories, events, reports, declines, accepts,
 * progress, claim. So a result and the offer that takes its slot travel in one frame.
 */
export class DeploymentTurns {
  readonly agents = new AttachedAgents();
  readonly #deps: DeploymentTurnsDeps;
  #batch = new TurnBatch();
  #claimDue = false;
  #running = false;
  readonly #pacer = new Pacer(turnPaceMs, () => void this.#run());
  #refilling = false;

  constructor(deps: DeploymentTurnsDeps) {
    this.#deps = deps;
  }

  say(to: Recipient, said: Said): void {
    this.#batch.add(to, said);
    this.#schedule();
  }

  /** O1: takes the open offers of an agent back that is to get no work. */
  withdraw(to: Recipient, reason: string): void {
    this.#batch.withdraw(to, reason);
    this.#schedule();
  }

  submit(items: readonly SubmitItem[]): Promise<readonly SubmitAnswer[] | "refused"> {
    return new Promise((resolve, reject) => {
      this.#batch.submits.push({ items, resolve, reject });
      this.#schedule();
    });
  }

  /** Something may wait in these lanes, or somebody may have room again. */
  wake(lanes: Iterable<string> = []): void {
    this.agents.wake(lanes);
    this.#claimDue = true;
    this.#schedule();
  }

  #schedule(): void {
    if (!this.#running) this.#pacer.request();
  }

  async #run(): Promise<void> {
    this.#running = true;
    const batch = this.#batch;
    this.#batch = new TurnBatch();
    const outbox = new Outbox(this.#deps.deployment);
    const answered = await Promise.all(this.#calls(batch, outbox));
    outbox.flush();
    this.#running = false;
    if (answered.includes(false)) {
      this.#deps.clock.after(storeAwayPauseMs, () => this.#schedule());
      return;
    }
    if (answered.length > 0) this.#deps.onChanged();
    if (!this.#batch.empty || this.#claimDue) this.#schedule();
  }

  /** Sends the calls of a turn, in order; each settles to whether the store answered. */
  #calls(batch: TurnBatch, outbox: Outbox): Promise<boolean>[] {
    const calls: Promise<boolean>[] = [];
    if (batch.submits.length > 0) calls.push(this.#submit(batch));
    if (batch.inventories.size > 0) calls.push(this.#reconcile(batch, outbox));
    if (batch.events.size > 0) calls.push(this.#noteEvents(batch, outbox));
    if (batch.reports.size > 0) calls.push(this.#settle(batch, outbox));
    if (batch.declines.length > 0) calls.push(this.#decline(batch));
    if (batch.accepts.size > 0) calls.push(this.#confirm(batch, outbox));
    if (batch.withdrawals.size > 0) calls.push(this.#withdraw(batch, outbox));
    if (batch.starts.size + batch.notes.length > 0) calls.push(this.#noteProgress(batch));
    const plan = this.#claimDue ? this.agents.planClaim(this.#deps.clock.nowMs()) : undefined;
    this.#claimDue = false;
    if (plan !== undefined) calls.push(this.#claim(plan, outbox));
    return calls;
  }

  /** One call of the store: measured, and never thrown. `done` is not called when it was refused. */
  async #call<Reply extends { kind: string }>(
    kind: StoreCallKind,
    items: number,
    calling: Promise<Reply | TaskRefused>,
    done: (reply: Reply) => void,
    undone: (error: unknown) => void,
  ): Promise<boolean> {
    const { clock, log, metrics, deployment, onStore } = this.#deps;
    const sentAt = clock.nowMs();
    try {
      const reply = await calling;
      metrics.call(kind, items, clock.nowMs() - sentAt);
      if (reply.kind === "refused") {
        const { reason } = reply as TaskRefused;
        log.warn({ deployment, reason }, "the deployment is not in effect in the store");
        undone(undefined);
        return false;
      }
      onStore(true);
      done(reply as Reply);
      return true;
    } catch (error) {
      onStore(false, error);
      undone(error);
      return false;
    }
  }

  #submit(batch: TurnBatch): Promise<boolean> {
    const { deployment, tasks } = this.#deps;
    const items = batch.submits.flatMap((waiting) => waiting.items);
    this.agents.wake(new Set(items.map(({ lane }) => lane)));
    this.#claimDue = true;
    return this.#call(
      "submit",
      items.length,
      tasks.submit({ deployment, items }),
      ({ answers }) => {
        let at = 0;
        for (const { items: own, resolve } of batch.submits) {
          resolve(answers.slice(at, at + own.length));
          at += own.length;
        }
      },
      (error) => {
        for (const { resolve, reject } of batch.submits) {
          if (error === undefined) resolve("refused");
          else reject(error);
        }
      },
    );
  }

  #reconcile(batch: TurnBatch, outbox: Outbox): Promise<boolean> {
    const { deployment, tasks, clock, epoch } = this.#deps;
    const said = [...batch.inventories.values()];
    const inventories = said.map(({ to, said: stated }) => {
      const queues = this.agents.in(to.agent, to.session)?.abilities.queues ?? [];
      return inventoryItem(to, stated, { deployment, epoch: epoch(), queues });
    });
    this.#claimDue = true;
    return this.#call(
      "reconcile",
      inventories.length,
      tasks.reconcile({ deployment, inventories }),
      ({ judgements }) => {
        for (const [index, { to, said: stated }] of said.entries()) {
          const { sequence, entries } = stated;
          const judgement = judgements[index];
          if (judgement === undefined) continue;
          outbox.tell(to, inventoryAnswerEvent(sequence, entries, judgement.verdicts));
          for (const { id, attempt } of judgement.wished) {
            outbox.tell(to, cancelEvent(id, attempt));
          }
          const attached = this.agents.in(to.agent, to.session);
          if (attached === undefined) continue;
          attached.inventoried = true;
          makeRoom(attached);
          attached.kills.clear();
          attached.killsAskedAtMs = clock.nowMs();
          for (const [at, { id, attempt }] of entries.entries()) {
            if (judgement.verdicts[at] === "KILL") attached.kills.add(`${id} ${attempt}`);
          }
        }
        this.#claimDue = true;
      },
      () => {
        // Safe to repeat (D4), and the agent gets no offers until it is answered.
        for (const { to, said: stated } of said) {
          const name = `${to.agent} ${to.session}`;
          if (this.#batch.inventories.has(name) || !to.link.open) continue;
          this.#batch.add(to, { kind: "inventory", ...stated });
        }
      },
    );
  }

  #noteEvents(batch: TurnBatch, outbox: Outbox): Promise<boolean> {
    const { deployment, tasks } = this.#deps;
    const groups = [...batch.events.values()];
    let items = 0;
    for (const { events } of groups) items += events.length;
    return this.#call(
      "event",
      items,
      tasks.noteEvents({ deployment, groups }),
      ({ judgements }) => {
        let at = 0;
        for (const { to, events } of groups) {
          // The last word on each attempt says what became of all its events.
          const last = new Map<string, readonly [id: string, attempt: string, EventJudgement]>();
          for (const { id, attempt } of events) {
            const judged = judgements[at++];
            // G3: one that came without a lease is not answered; its agent sends it again under one.
            if (judged === undefined || judged.refusal === "later") continue;
            last.set(`${id} ${attempt}`, [id, attempt, judged]);
          }
          for (const answer of last.values()) outbox.tell(to, eventAnswerEvent(...answer));
        }
      },
      // The agent keeps its events and sends them again until they are answered (G3).
      () => undefined,
    );
  }

  #settle(batch: TurnBatch, outbox: Outbox): Promise<boolean> {
    const { deployment, tasks } = this.#deps;
    const groups = [...batch.reports.values()];
    let items = 0;
    for (const { agent, session, reports } of groups) {
      items += reports.length;
      this.#hasRoom(agent, session, reports.length);
    }
    return this.#call(
      "settle",
      items,
      tasks.settle({ deployment, groups }),
      ({ judgements }) => {
        let at = 0;
        for (const { to, reports } of groups) {
          const attached = this.agents.in(to.agent, to.session);
          for (const report of reports) {
            const { id, attempt } = report;
            const judgement = judgements[at++];
            if (judgement === undefined) continue;
            const { verdict } = judgement;
            outbox.tell(to, reportAnswerEvent(id, attempt, judgement));
            if (verdict === "STALE" || verdict === "CONFLICT") {
              this.#deps.onRefused(to.agent, report, verdict);
            }
            if (verdict !== "RETRY" && attached?.kills.delete(`${id} ${attempt}`)) {
              this.#claimDue = true;
            }
          }
        }
      },
      () => {
        // The agent keeps its results and sends them again (C1, C2).
        const judgement = { verdict: "RETRY", supersededBy: "", reason: "store_away" } as const;
        for (const { to, reports } of groups) {
          for (const { id, attempt, started } of reports) {
            outbox.tell(to, reportAnswerEvent(id, attempt, judgement));
            if (started) this.#batch.add(to, { kind: "progress", id, attempt, note: "" });
          }
        }
      },
    );
  }

  #decline(batch: TurnBatch): Promise<boolean> {
    const { deployment, tasks, clock } = this.#deps;
    const { declines } = batch;
    for (const { agent, reason } of declines) {
      const attached = this.agents.get(agent);
      if (attached === undefined) continue;
      makeRoom(attached);
      // It would decline the same task again at once.
      if (!cheapDeclines.has(reason)) attached.pausedUntilMs = clock.nowMs() + pauseMs;
    }
    this.#claimDue = true;
    return this.#call(
      "decline",
      declines.length,
      tasks.decline({ deployment, declines }),
      () => undefined,
      () => this.#batch.declines.push(...declines),
    );
  }

  #confirm(batch: TurnBatch, outbox: Outbox): Promise<boolean> {
    const { deployment, tasks } = this.#deps;
    const groups = [...batch.accepts.values()];
    let items = 0;
    for (const { accepts } of groups) items += accepts.length;
    return this.#call(
      "confirm",
      items,
      tasks.confirm({ deployment, groups }),
      ({ answers }) => {
        let at = 0;
        for (const { to, accepts } of groups) {
          for (const { id, attempt } of accepts) {
            const answer = answers[at++] ?? "none";
            const aborts = answer === "confirm_abort";
            if (aborts || answer === "confirm") outbox.tell(to, confirmEvent(id, attempt, aborts));
            else if (answer !== "none") outbox.tell(to, withdrawEvent(id, attempt, answer));
            if (!aborts && answer !== "confirm") this.#hasRoom(to.agent, to.session, 1);
          }
        }
      },
      () => {
        // Safe to repeat (D4). A confirm that comes too late is declined by the agent's window (S4, S5).
        for (const { to, accepts } of groups) {
          if (!to.link.open) continue;
          for (const accept of accepts) this.#batch.add(to, { kind: "accept", ...accept });
        }
      },
    );
  }

  #withdraw(batch: TurnBatch, outbox: Outbox): Promise<boolean> {
    const { deployment, tasks } = this.#deps;
    const withdrawals = [...batch.withdrawals.values()];
    const agents = withdrawals.map(({ to: { agent, session }, reason }) => ({
      ...{ agent, session, reason },
    }));
    return this.#call(
      "withdraw",
      agents.length,
      tasks.withdrawOffers({ deployment, agents }),
      ({ attempts }) => {
        for (const { to, reason } of withdrawals) {
          for (const { agent, session, id, attempt } of attempts) {
            if (agent !== to.agent || session !== to.session) continue;
            outbox.tell(to, withdrawEvent(id, attempt, reason));
          }
        }
      },
      // Not repeated: no accept of them is confirmed, and they expire.
      () => undefined,
    );
  }

  #noteProgress(batch: TurnBatch): Promise<boolean> {
    const { deployment, tasks } = this.#deps;
    const notes = [...batch.starts.values(), ...batch.notes];
    return this.#call(
      "progress",
      notes.length,
      tasks.noteProgress({ deployment, notes }),
      () => undefined,
      () => {
        for (const [name, start] of batch.starts) this.#batch.starts.set(name, start);
        this.#batch.notes.unshift(...batch.notes);
      },
    );
  }

  #claim(plan: ClaimPlan, outbox: Outbox): Promise<boolean> {
    const { deployment, tasks, clock } = this.#deps;
    const { candidates } = plan;
    return this.#call(
      "claim",
      candidates.length,
      tasks.claim({ deployment, candidates, offerTtlMs, most: mostClaimed }),
      (claimed) => {
        this.#offer(claimed, outbox);
        const pauseUntilMs = clock.nowMs() + pauseMs;
        if (this.agents.noteClaimed(plan, claimed, mostClaimed, pauseUntilMs)) {
          this.#claimDue = true;
        }
      },
      // Not repeated (D4): what it offered expires, and the sweep claims again.
      () => undefined,
    );
  }

  #offer(claimed: Claimed, outbox: Outbox): void {
    const epoch = BigInt(this.#deps.epoch());
    for (const offer of claimed.offers) {
      const { agent, session } = offer.candidate;
      const link = this.#deps.linkOf(agent, session);
      // Without a link the offer expires; nothing was promised to anybody.
      if (link === undefined) continue;
      outbox.tell({ link, agent, session }, offerEvent(offer, epoch, offerTtl), offer.spec.length);
    }
  }

  #hasRoom(agent: string, session: string, attempts: number): void {
    const attached = this.agents.in(agent, session);
    if (attached === undefined || this.agents.free(attached, attempts)) this.#claimDue = true;
    else this.#refillSoon();
  }

  #refillSoon(): void {
    if (this.#refilling) return;
    this.#refilling = true;
    this.#deps.clock.after(refillWaitMs, () => {
      this.#refilling = false;
      if (this.agents.refill()) this.wake();
    });
  }
}

/** Declines after which the same offer may well be taken. */
const cheapDeclines: ReadonlySet<string> = new Set(["window_passed", "canceled"]);
