// SPDX-License-Identifier: Apache-2.0
import type { GiveUp, InventoryWord, OutcomeKind } from "@remex/domain";
import fc from "fast-check";
import { afterAll, beforeAll, describe, test } from "vitest";
import { begin, compare, perform } from "./task-model.ts";
import { agentNames, type Operation } from "./task-operations.ts";
import { startTaskWorld, type TaskWorld } from "./task-test-kit.ts";

// The store's functions against the pure machine: random operations of two agents on four tasks, stale
// and repeated words included. After every operation the answers and every task must agree.

const agent = fc.constantFrom(...agentNames);
const taskIndex = fc.nat(3);
/** Who speaks of an attempt: mostly the agent that it was offered to. */
const speaker = fc.constantFrom("holder", "holder", "holder", ...agentNames);
/** Which attempt is meant: the newest, or one of the older ones. */
const age = fc.constantFrom(0, 0, 0, 1, 2);

const holds = fc.uniqueArray(
  fc.record({
    task: taskIndex,
    word: fc.constantFrom<InventoryWord>("ACCEPTED", "STARTED", "ENDED"),
  }),
  { selector: ({ task }) => task, maxLength: 4 },
);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("claim" as const), agent }) },
  {
    weight: 10,
    arbitrary: fc.record({ kind: fc.constant("advance" as const), agent, task: taskIndex }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("accept" as const),
      agent: speaker,
      task: taskIndex,
      age,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("start" as const),
      agent: speaker,
      task: taskIndex,
      age,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("decline" as const),
      agent: speaker,
      task: taskIndex,
      age,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("report" as const),
      agent: speaker,
      task: taskIndex,
      age,
      outcome: fc.constantFrom<OutcomeKind>(
        "SUCCEEDED",
        "FAILED",
        "CANCELED",
        "ABORTED",
        "DUPLICATE_START",
      ),
      digest: fc.constantFrom("d1", "d2"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel" as const), task: taskIndex }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("pass" as const),
      ms: fc.constantFrom(1_000, 6_000, 31_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("expire" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("cordon" as const), agent, on: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("beat" as const), agent }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("end" as const),
      agent,
      how: fc.constantFrom<GiveUp["how"]>("by_policy", "by_policy", "by_policy", "idle", "at_once"),
      lateMs: fc.constantFrom(0, 500, 45_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("expireHolds" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("reopen" as const),
      agent,
      fresh: fc.boolean(),
      holds,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("inventory" as const),
      agent,
      sequence: fc.nat(3),
      holds,
    }),
  },
);

describe("the store's functions and the machine", () => {
  let world: TaskWorld;
  beforeAll(async () => {
    world = await startTaskWorld();
  });
  afterAll(() => world.stop());

  test("PROTOCOL-I1-I2-I4-I7-I9-I20-H1: they agree over random histories", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { minLength: 5, maxLength: 60 }), async (operations) => {
        const model = await begin(world);
        for (const [step, op] of operations.entries()) {
          await perform(world, model, model.named(op));
          await compare(world, model, `after ${step}: ${JSON.stringify(op)}`);
        }
      }),
      { numRuns: 200 },
    );
  }, 120_000);
});
