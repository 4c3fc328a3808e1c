// SPDX-License-Identifier: Apache-2.0
// Random histories of an agent and its lease: while it believes in it, its session is not over (I8), and
// it fails only for time in which it could be heard (I5).
import { leaseValid, noLease, requireRef, type SessionRef, stepLease } from "@remex/domain";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fixtureFacts, type SessionFixture, startSessionFixture } from "./session-fixture.ts";

let fixture: SessionFixture;
beforeAll(async () => {
  fixture = await startSessionFixture();
});
afterAll(() => fixture.stop());

type Step =
  /** Time passes; scans go on unless nobody is there, and hear the registry unless it is cut off. */
  | { readonly kind: "pass"; readonly ms: number; readonly scans: "all" | "deaf" | "none" }
  /** Redis TIME jumps against the clocks of all others. */
  | { readonly kind: "jump"; readonly ms: number }
  | { readonly kind: "beat"; readonly acknowledged: boolean }
  /** An operator changes the interval; the agent hears of it or not yet. */
  | { readonly kind: "interval"; readonly heartbeatMs: number; readonly heard: boolean }
  | { readonly kind: "restart" }
  | { readonly kind: "revoke" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("pass"),
      ms: fc.integer({ min: 250, max: 16_000 }),
      scans: fc.constantFrom("all", "all", "all", "deaf", "none"),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("beat"), acknowledged: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("jump"),
      ms: fc.oneof(
        fc.integer({ min: -4_000, max: 4_000 }),
        fc.integer({ min: -90_000, max: 90_000 }),
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("interval"),
      heartbeatMs: fc.constantFrom(2_000, 5_000, 10_000, 20_000),
      heard: fc.boolean(),
    }),
  },
  fc.record({ kind: fc.constant("restart") }),
  fc.record({ kind: fc.constant("revoke") }),
) as fc.Arbitrary<Step>;

/** One agent, one monitor and the store, with a real time that only the test knows. */
class History {
  readonly #deployment: string;
  #atMs = 0;
  #lease = noLease;
  #session: SessionRef = requireRef("1.1");
  #sequence = 0;
  #monitors = 1;
  #lookedAtMs: number | undefined;
  #interval = { version: 1, heartbeatMs: 10_000 };
  #known = 1;
  /** Time since the last beat that was taken in which a beat could have been heard, and since when not. */
  #heardMs = 0;
  #unheardMs = 0;
  #shortestMs = 10_000;

  constructor(deployment: string) {
    this.#deployment = deployment;
  }

  async begin(): Promise<void> {
    await fixture.project(this.#deployment);
    await this.#look(true);
    const welcome = { echoVersion: 1, echoHeartbeatMs: 10_000 };
    const reply = await fixture.sessions.open(this.#deployment, "a", {
      ...fixtureFacts,
      ...welcome,
    });
    if (reply.kind !== "opened") throw new Error(reply.kind);
    this.#session = requireRef(reply.session);
    this.#lease = stepLease(this.#lease, {
      ...{ kind: "sessionOpened", session: this.#session, sentAtMs: 0, leaseMs: 20_000 },
    });
  }

  async take(next: Step): Promise<void> {
    switch (next.kind) {
      case "pass":
        return this.#pass(next.ms, next.scans);
      case "jump":
        fixture.nowMs += next.ms;
        // A small jump ahead cannot be told from time (T2 asks for more than an interval).
        this.#heardMs += Math.min(Math.max(0, next.ms), 4_000);
        return;
      case "beat":
        return this.#beat(next.acknowledged);
      case "interval":
        return this.#change(next.heartbeatMs, next.heard);
      case "restart":
        this.#monitors += 1;
        this.#lookedAtMs = undefined;
        return;
      case "revoke":
        await fixture.sessions.beginEnding(this.#deployment, "token_revoked", [{ agent: "a" }]);
    }
  }

  async check(): Promise<void> {
    const record = await fixture.sessions.load(this.#deployment, "a");
    if (leaseValid(this.#lease, this.#atMs)) expect(record?.state).not.toBe("ENDED");
    if (record?.reason === "lease_expired") {
      expect(this.#heardMs).toBeGreaterThanOrEqual(3 * this.#shortestMs);
    }
  }

  async #pass(ms: number, scans: "all" | "deaf" | "none"): Promise<void> {
    for (let left = ms; left > 0; left -= 1_000) {
      const pause = Math.min(left, 1_000);
      this.#atMs += pause;
      fixture.nowMs += pause;
      this.#note(pause, scans === "all");
      if (scans === "none") continue;
      await this.#look(scans === "all");
      await this.check();
    }
  }

  #note(pause: number, heard: boolean): void {
    if (!heard) {
      this.#unheardMs += pause;
      return;
    }
    // What is shorter than a gap counts: 3 s at most, and what passes until the next look.
    if (this.#unheardMs <= 4_000) this.#heardMs += this.#unheardMs;
    this.#unheardMs = 0;
    this.#heardMs += pause;
  }

  async #look(hears: boolean): Promise<void> {
    const since = this.#lookedAtMs;
    await fixture.sessions.expire(this.#deployment, 10, {
      monitor: `monitor-${this.#monitors}`,
      ...(since === undefined ? { first: true } : { first: false, sinceMs: this.#atMs - since }),
      heard: hears ? { "registry-1": 0 } : {},
      living: ["registry-1"],
    });
    this.#lookedAtMs = this.#atMs;
  }

  async #beat(acknowledged: boolean): Promise<void> {
    this.#sequence += 1;
    const sequence = this.#sequence;
    const sentAtMs = this.#atMs;
    this.#lease = stepLease(this.#lease, { kind: "beatSent", sequence, sentAtMs });
    const monitor = `monitor-${this.#monitors}`;
    const reply = await fixture.sessions.renew(this.#deployment, monitor, [
      {
        ...{ agent: "a", session: this.#session, generation: 1, sequence, loopAgeMs: 0 },
        ...{ loopTurns: sequence, runnerState: "READY", slotsUsed: 0 },
        intervalVersion: this.#known,
      },
    ]);
    if (reply.kind !== "renewed" || reply.answers[0]?.kind !== "taken") return;
    this.#heardMs = 0;
    this.#unheardMs = 0;
    if (!acknowledged) return;
    const session = this.#session;
    this.#lease = stepLease(this.#lease, { kind: "beatAcknowledged", session, sequence });
  }

  async #change(heartbeatMs: number, heard: boolean): Promise<void> {
    const version = this.#interval.version + 1;
    this.#interval = { version, heartbeatMs };
    const limitMs = 3 * heartbeatMs;
    this.#shortestMs = Math.min(this.#shortestMs, heartbeatMs);
    await fixture.redis.hset(`rmx:{${this.#deployment}}:config`, {
      ...{ heartbeatMs, limitMs, intervalVersion: version },
    });
    if (!heard) return;
    this.#known = version;
    this.#lease = stepLease(this.#lease, { kind: "settingsChanged", leaseMs: 2 * heartbeatMs });
  }
}

describe("random histories of a lease", () => {
  it("PROTOCOL-I8 I5 L2 L3 L8 T2 T4: while the agent believes its lease its session is not over, and it fails only for time in which it could be heard", async () => {
    let count = 0;
    const histories = fc.array(step, { minLength: 5, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(histories, async (steps) => {
        count += 1;
        const history = new History(`dep-${count}`);
        await history.begin();
        for (const next of steps) {
          await history.take(next);
          await history.check();
        }
      }),
      { numRuns: 150 },
    );
  });
});
