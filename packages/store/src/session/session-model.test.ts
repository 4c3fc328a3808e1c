// SPDX-License-Identifier: Apache-2.0
// Compares the functions in a real Redis with the model over random histories of one agent.
import { compareRefs, requireRef, type SessionRef } from "@remex/domain";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fixtureFacts, type SessionFixture, startSessionFixture } from "./session-fixture.ts";
import { newModelAgent, type SessionStep, stepModel } from "./session-model.ts";

let fixture: SessionFixture;
beforeAll(async () => {
  fixture = await startSessionFixture();
});
afterAll(() => fixture.stop());

const step: fc.Arbitrary<SessionStep> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("open"), instance: fc.integer({ min: 1, max: 2 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("resume"),
      back: fc.integer({ min: 0, max: 1 }),
      generation: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("beat"),
      back: fc.integer({ min: 0, max: 1 }),
      generation: fc.integer({ min: 1, max: 5 }),
      sequence: fc.integer({ min: 1, max: 30 }),
    }),
  },
  fc.record({ kind: fc.constant("streamDown"), generation: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ kind: fc.constant("revoke") }),
  fc.record({
    kind: fc.constant("leave"),
    back: fc.integer({ min: 0, max: 1 }),
    empty: fc.boolean(),
  }),
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("expire") }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("pass"),
      ms: fc.oneof(
        fc.integer({ min: 0, max: 15_000 }),
        fc.constantFrom(12_499, 12_500, 29_999, 30_000),
      ),
    }),
  },
) as fc.Arbitrary<SessionStep>;

const instanceOf = (number: number): string => `${number}`.repeat(32);

/** Runs histories each in a deployment of its own, against the functions. */
class History {
  readonly sessions: SessionRef[] = [];
  readonly deployment: string;
  #turns = 0;

  constructor(deployment: string) {
    this.deployment = deployment;
  }

  ref(back: number): SessionRef {
    return this.sessions.at(-1 - back) ?? { epoch: Number(fixture.epoch), number: 999_999 };
  }

  async run(next: SessionStep): Promise<string> {
    const { sessions } = fixture;
    const { deployment } = this;
    switch (next.kind) {
      case "open": {
        const facts = { ...fixtureFacts, instance: instanceOf(next.instance) };
        const reply = await sessions.open(deployment, "a", facts);
        if (reply.kind === "opened") this.sessions.push(requireRef(reply.session));
        return reply.kind;
      }
      case "resume": {
        const { keyDigest, registry } = fixtureFacts;
        const record = await sessions.load(deployment, "a");
        const claim = {
          session: this.ref(next.back),
          instance: record?.instance ?? instanceOf(1),
          generation: next.generation,
          keyDigest,
        };
        return (await sessions.resume(deployment, "a", claim, { registry })).kind;
      }
      case "beat": {
        this.#turns += 1;
        const { sequence, generation } = next;
        const beat = { agent: "a", session: this.ref(next.back), generation, sequence };
        const rest = { loopTurns: this.#turns, loopAgeMs: 0, runnerState: "READY", slotsUsed: 0 };
        const reply = await sessions.renew(deployment, "monitor-1", [
          { ...beat, ...rest } as never,
        ]);
        return reply.kind === "renewed" ? (reply.answers[0]?.kind ?? "none") : reply.kind;
      }
      case "streamDown": {
        const { registry } = fixtureFacts;
        const { generation } = next;
        const stream = { agent: "a", session: this.ref(0), registry, generation };
        return (await sessions.noteStreamDown(deployment, [stream])).kind;
      }
      case "revoke": {
        const { token } = fixtureFacts;
        return (await sessions.beginEndingOfToken(deployment, "token_revoked", token)).kind;
      }
      case "leave":
        return (await sessions.leave(deployment, "a", this.ref(next.back), next.empty)).kind;
      case "expire":
        return (await fixture.scan(deployment)).kind;
      case "pass":
        await fixture.pass(deployment, next.ms);
        return "";
    }
  }
}

describe("random histories", () => {
  it("PROTOCOL-L1 L2 L5 L7 L8 I9 I13: the functions answer and keep what the model does", async () => {
    let count = 0;
    const histories = fc.array(step, { minLength: 5, maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(histories, async (steps) => {
        count += 1;
        const history = new History(`dep-${count}`);
        const model = newModelAgent();
        await fixture.project(history.deployment);
        for (const next of steps) {
          const answer = await history.run(next);
          expect(answer, JSON.stringify(next)).toBe(stepModel(model, next, fixture.nowMs));
        }
        const record = await fixture.sessions.load(history.deployment, "a");
        expect(record?.state ?? "NONE").toBe(model.state);
        if (record !== undefined) {
          expect(record).toMatchObject({
            health: model.health,
            reason: model.reason,
            generation: model.generation,
            beatSequence: model.beatSequence,
            beatAtMs: model.beatAtMs,
          });
        }
        const giveups = await fixture.sessions.readGiveups(history.deployment, 100);
        expect(giveups.map(({ session }) => session.number).sort((a, b) => a - b)).toEqual(
          model.giveups,
        );
        history.sessions.reduce(
          (before, ref) => {
            expect(compareRefs(before, ref)).toBeLessThan(0);
            return ref;
          },
          { epoch: 0, number: 0 },
        );
      }),
      { numRuns: 150 },
    );
  });
});
