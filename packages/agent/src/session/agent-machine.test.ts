// SPDX-License-Identifier: Apache-2.0
// Random stories for the agent's machine, judged by its invariants and by a lease kept apart from it.

import { ReportVerdict } from "@remex/proto/agent/v1";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type only, Rig, saidOf, settings } from "../testing/machine-rig.ts";

const task = fc.constantFrom("t_a", "t_b", "t_c", "t_d");
const number = fc.integer({ min: 1, max: 4 });

const happening = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("offer"),
      task,
      number,
      cost: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("confirm"), task, number }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("started"), task, number }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("ended"), task, number }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("refused"), task, number }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("answer"), task, number, retry: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel"), task, number }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("withdraw"), task, number }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("wait"), ms: fc.integer({ min: 1, max: 9_000 }) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("ack") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cut") }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("dial"), resume: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("sessionEnded") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("runnerLost") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("runner") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("drain") }) },
);
type Happening = typeof happening extends fc.Arbitrary<infer Value> ? Value : never;

/** What the rules allow, kept apart from the machine. */
class Judge {
  readonly rig = new Rig(4);
  readonly #sentAt = new Map<string, { readonly atMs: number; readonly session: number }>();
  readonly #starts = new Set<string>();
  readonly #beats = new Map<number, number>();
  readonly #highest = new Map<string, number>();
  #leaseUntilMs = -1;
  #helloAtMs = 0;
  #seen = 0;

  play(next: Happening): void {
    this.#act(next);
    const fresh = this.rig.all.slice(this.#seen);
    this.#seen = this.rig.all.length;
    for (const effect of fresh) {
      if (effect.kind === "send" && effect.says.case === "accept") {
        this.#noteAccept(effect.says.value as never);
      }
      if (effect.kind === "beat") {
        this.#beats.set(Number(effect.beat.sequence), this.rig.nowMs);
      }
      if (effect.kind === "dial") this.#helloAtMs = this.rig.nowMs;
      if (effect.kind === "startWork") this.#judgeStart(effect.task, effect.attempt.number);
      if (effect.kind === "forgetWork") {
        expect(next.kind).toBe("answer");
      }
    }
    this.#judgeState(fresh);
  }

  #act(next: Happening): void {
    const { rig } = this;
    switch (next.kind) {
      case "offer":
        rig.offer(next.task, next.number, next.cost);
        return;
      case "confirm":
        rig.confirm(next.task, next.number);
        return;
      case "started":
        rig.started(next.task, next.number);
        return;
      case "ended":
        if (this.#starts.has(`${next.task}/${next.number}`)) rig.ended(next.task, next.number);
        return;
      case "refused":
        rig.refused(next.task, "no_lease", next.number);
        return;
      case "answer": {
        const verdict = next.retry ? ReportVerdict.RETRY : ReportVerdict.ACCEPTED;
        rig.answer(next.task, verdict, 1_000, next.number);
        return;
      }
      case "cancel":
        rig.cancel(next.task, next.number);
        return;
      case "withdraw":
        rig.hear({
          kind: "withdraw",
          task: next.task,
          attempt: { epoch: 1_794_000_000, number: next.number },
          reason: "",
        });
        return;
      case "wait":
        rig.wait(next.ms);
        return;
      case "ack":
        this.#acknowledge();
        return;
      case "cut":
        rig.cut();
        return;
      case "dial":
        this.#dial(next.resume);
        return;
      case "sessionEnded":
        if (rig.state.connection.kind === "online") this.#leaseUntilMs = -1;
        rig.hear({ kind: "sessionEnded", reason: "lease_expired", mayReturn: true });
        return;
      case "runnerLost":
        rig.take({ kind: "runnerLost" });
        return;
      case "runner":
        if (rig.state.runner.kind === "lost") rig.runner();
        return;
      default:
        rig.take({ kind: "drain", reason: "SIGTERM", deadlineMs: undefined });
    }
  }

  #acknowledge(): void {
    const { rig } = this;
    if (rig.state.connection.kind !== "online") return;
    const sequence = Math.max(0, ...this.#beats.keys());
    const sentAtMs = this.#beats.get(sequence);
    if (sentAtMs !== undefined) {
      this.#leaseUntilMs = Math.max(this.#leaseUntilMs, sentAtMs + settings.leaseMs);
    }
    rig.ack(sequence);
  }

  #dial(resume: boolean): void {
    const { rig } = this;
    if (rig.state.connection.kind !== "waiting") return;
    const known = rig.state.session !== undefined;
    rig.dial();
    const resumed = resume && known;
    if (!resumed) {
      rig.session += 1;
      this.#beats.clear();
    }
    const helloAtMs = rig.nowMs;
    rig.welcome(resumed);
    if (!resumed) this.#leaseUntilMs = helloAtMs + settings.leaseMs;
  }

  #noteAccept(accept: { task: string; attempt: { number: bigint } }): void {
    const attempt = Number(accept.attempt.number);
    // S1: higher than every one before.
    expect(attempt).toBeGreaterThan(this.#highest.get(accept.task) ?? 0);
    this.#highest.set(accept.task, attempt);
    this.#sentAt.set(`${accept.task}/${attempt}`, {
      atMs: this.rig.nowMs,
      session: this.rig.session,
    });
  }

  #judgeStart(task: string, attempt: number): void {
    const key = `${task}/${attempt}`;
    const { nowMs, session, state } = this.rig;
    expect(this.#starts.has(key)).toBe(false);
    this.#starts.add(key);
    const sent = this.#sentAt.get(key);
    expect(sent?.session).toBe(session);
    expect(nowMs - (sent?.atMs ?? Number.NEGATIVE_INFINITY)).toBeLessThan(settings.windowMs);
    expect(nowMs).toBeLessThan(this.#leaseUntilMs);
    expect(state.runner.kind).toBe("ready");
    expect(this.#helloAtMs).toBeLessThanOrEqual(nowMs);
  }

  #judgeState(fresh: Parameters<typeof only>[0]): void {
    const { state } = this.rig;
    const reserved = [...state.held.values()]
      .filter((held) => held.stage.kind !== "ended")
      .reduce((sum, held) => sum + held.facts.slotCost, 0);
    expect(state.slotsUsed).toBe(reserved);
    expect(reserved).toBeLessThanOrEqual(4);
    if (saidOf(fresh, "goodbye") !== undefined) expect(reserved).toBe(0);
  }
}

describe("the agent's machine", () => {
  it("PROTOCOL-I1, PROTOCOL-S1, PROTOCOL-S4, PROTOCOL-I19, PROTOCOL-C1 hold in whatever order things happen", () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 120 }), (story) => {
        const judge = new Judge();
        judge.play({ kind: "runner" });
        judge.play({ kind: "dial", resume: false });
        for (const next of story) judge.play(next);
      }),
      { numRuns: 500 },
    );
  });
});
