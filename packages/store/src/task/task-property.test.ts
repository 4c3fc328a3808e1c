// SPDX-License-Identifier: Apache-2.0
import {
  compareRefs,
  formatRef,
  type InventoryWord,
  isTerminal,
  newTask,
  type OutcomeKind,
  requireRef,
  stepTask,
  type Task,
  type TaskAnswer,
  type TaskEvent,
  type TaskPolicy,
} from "@remex/domain";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  attemptOf,
  candidate,
  claim,
  confirm,
  deployment,
  epoch,
  limitMs,
  report,
  settle,
  startTaskWorld,
  submission,
  type TaskWorld,
} from "./task-test-kit.ts";

// The store's functions against the pure machine: random operations of two agents on three tasks, stale
// and repeated words included. After every operation the answers and every task must agree.

const policies: readonly TaskPolicy[] = [
  { onLost: "REQUEUE", maxRetries: 1, maxRecoveries: 1 },
  { onLost: "FAIL", maxRetries: 0, maxRecoveries: 3 },
  { onLost: "REQUEUE", maxRetries: 0, maxRecoveries: 0 },
];
const words = ["zero", "one", "two"] as const;
const agentNames = ["a1", "a2"] as const;
const slots = 2;

const agent = fc.constantFrom(...agentNames);
const taskIndex = fc.nat(2);
/** Who speaks of an attempt: mostly the agent that it was offered to. */
const speaker = fc.constantFrom("holder", "holder", "holder", ...agentNames);
/** Which attempt is meant: the newest, or one of the older ones. */
const age = fc.constantFrom(0, 0, 0, 1, 2);

type Operation =
  | { readonly kind: "claim"; readonly agent: string }
  /** The next step of a normal life. */
  | { readonly kind: "advance"; readonly agent: string; readonly task: number }
  | { readonly kind: "accept"; readonly agent: string; readonly task: number; readonly age: number }
  | { readonly kind: "start"; readonly agent: string; readonly task: number; readonly age: number }
  | {
      readonly kind: "decline";
      readonly agent: string;
      readonly task: number;
      readonly age: number;
    }
  | {
      readonly kind: "report";
      readonly agent: string;
      readonly task: number;
      readonly age: number;
      readonly outcome: OutcomeKind;
      readonly digest: string;
    }
  | { readonly kind: "cancel"; readonly task: number }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "expire" }
  | { readonly kind: "cordon"; readonly agent: string; readonly on: boolean }
  | { readonly kind: "beat"; readonly agent: string }
  | { readonly kind: "end"; readonly agent: string }
  | {
      readonly kind: "reopen";
      readonly agent: string;
      readonly holds: readonly { readonly task: number; readonly word: InventoryWord }[];
    }
  | {
      readonly kind: "inventory";
      readonly agent: string;
      readonly sequence: number;
      readonly holds: readonly { readonly task: number; readonly word: InventoryWord }[];
    };

const holds = fc.uniqueArray(
  fc.record({
    task: taskIndex,
    word: fc.constantFrom<InventoryWord>("ACCEPTED", "STARTED", "ENDED"),
  }),
  { selector: ({ task }) => task, maxLength: 3 },
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
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("end" as const), agent }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const), agent, holds }) },
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

interface ModelSession {
  text: string;
  open: boolean;
  schedulable: boolean;
  beatAtMs: number;
}

/** The machine's side: three tasks, two sessions, and what it expects of each answer. */
class Model {
  readonly tasks: Task[] = policies.map(newTask);
  readonly ids = words.map((word) => submission(word).id);
  readonly sessions = new Map<string, ModelSession>();
  /** Every attempt that was ever offered, newest last, by task. */
  readonly attempts: { readonly attempt: string; readonly agent: string }[][] = [[], [], []];

  step(index: number, event: TaskEvent): TaskAnswer {
    const before = this.tasks[index]!;
    const { task, answer } = stepTask(before, event);
    this.tasks[index] = task;
    if (isTerminal(before.state)) expect(task, "I4: an ended task never changes").toEqual(before);
    expect(task.recoveries, "I20").toBeLessThanOrEqual(task.policy.maxRecoveries);
    expect(task.retries).toBeLessThanOrEqual(task.policy.maxRetries);
    return answer;
  }

  attemptAt(index: number, back: number): string {
    const known = this.attempts[index]!;
    return known.at(-1 - back)?.attempt ?? `${epoch}.999`;
  }

  /** The operation with its agent named. */
  named<Op extends Operation>(op: Op): Op {
    if (!("agent" in op) || op.agent !== "holder") return op;
    const { task, age: back } = op as unknown as { task: number; age: number };
    return { ...op, agent: this.attempts[task]?.at(-1 - back)?.agent ?? "a1" };
  }

  /** The step that leads a task on, as an operation. */
  next(task: number, name: string): Operation {
    const state = this.tasks[task]!;
    if (state.state !== "ASSIGNED") return { kind: "claim", agent: name };
    const { agent: holder, stage } = state.attempt;
    const kind = stage === "OFFERED" ? "accept" : "start";
    return { kind, agent: holder, task, age: 0 };
  }

  held(name: string): number {
    return this.tasks.filter((task) => task.state === "ASSIGNED" && task.attempt.agent === name)
      .length;
  }
}

describe("the store's functions and the machine", () => {
  let world: TaskWorld;
  beforeAll(async () => {
    world = await startTaskWorld();
  });
  afterAll(() => world.stop());

  test("PROTOCOL-I1-I2-I4-I7-I9-I20: they agree over random histories", async () => {
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

async function begin(world: TaskWorld): Promise<Model> {
  await world.reset();
  const model = new Model();
  for (const name of agentNames) await open(world, model, name);
  const items = words.map((word, index) => submission(word, { ...policies[index]! }));
  await world.tasks.submit({ deployment, items });
  return model;
}

async function open(world: TaskWorld, model: Model, name: string): Promise<void> {
  const text = await world.setSession(name);
  model.sessions.set(name, { text, open: true, schedulable: true, beatAtMs: world.now });
}

async function setSession(world: TaskWorld, name: string, fields: Record<string, string>) {
  await world.redis.commands.hset(`rmx:{${deployment}}:session:${name}`, fields);
}

function sessionOf(model: Model, name: string): ModelSession {
  const session = model.sessions.get(name);
  if (session === undefined) throw new Error(`no session of ${name}`);
  return session;
}

async function perform(world: TaskWorld, model: Model, op: Operation): Promise<void> {
  switch (op.kind) {
    case "claim":
      return performClaim(world, model, op.agent);
    case "advance":
      return perform(world, model, model.next(op.task, op.agent));
    case "accept": {
      const session = sessionOf(model, op.agent);
      const attempt = model.attemptAt(op.task, op.age);
      const id = model.ids[op.task]!;
      const [got] = await confirm(world, op.agent, session.text, [{ id, attempt, sequence: 2 }]);
      const answer = model.step(op.task, {
        kind: "accept",
        agent: op.agent,
        session: requireRef(session.text),
        attempt: requireRef(attempt),
        sequence: 2,
        standing: {
          session: requireRef(session.text),
          state: session.open ? "OPEN" : "ENDED",
          ageMs: world.now - session.beatAtMs,
          limitMs,
          schedulable: session.schedulable,
        },
      });
      expect(got).toBe(answer.kind === "withdraw" ? answer.reason : answer.kind);
      return;
    }
    case "start": {
      const attempt = model.attemptAt(op.task, op.age);
      const note = { agent: op.agent, id: model.ids[op.task]!, attempt, note: "" };
      await world.tasks.noteProgress({ deployment, notes: [note] });
      model.step(op.task, {
        kind: "started",
        agent: op.agent,
        session: requireRef(sessionOf(model, op.agent).text),
        attempt: requireRef(attempt),
        nowMs: world.now,
      });
      return;
    }
    case "decline": {
      const attempt = model.attemptAt(op.task, op.age);
      const decline = { agent: op.agent, id: model.ids[op.task]!, attempt, reason: "no_slots" };
      await world.tasks.decline({ deployment, declines: [decline] });
      model.step(op.task, {
        kind: "decline",
        agent: op.agent,
        session: requireRef(sessionOf(model, op.agent).text),
        attempt: requireRef(attempt),
        reason: "no_slots",
      });
      return;
    }
    case "report":
      return performReport(world, model, op);
    case "cancel": {
      const cancel = await world.tasks.cancel({ deployment, ids: [model.ids[op.task]!] });
      const answer = model.step(op.task, { kind: "cancel" });
      if (cancel.kind !== "wished") throw new Error(cancel.reason);
      const [got] = cancel.answers;
      expect(got?.state).toBe(model.tasks[op.task]!.state);
      if (answer.kind === "cancel") expect(got?.tell?.attempt).toBe(formatRef(answer.attempt));
      return;
    }
    case "pass":
      world.now += op.ms;
      return;
    case "expire": {
      await world.tasks.expireOffers({ deployment, most: 100 });
      for (const index of model.tasks.keys()) {
        model.step(index, { kind: "expireOffer", nowMs: world.now });
      }
      return;
    }
    case "cordon":
      sessionOf(model, op.agent).schedulable = !op.on;
      return setSession(world, op.agent, { availability: op.on ? "CORDONED" : "SCHEDULABLE" });
    case "beat": {
      const session = sessionOf(model, op.agent);
      if (!session.open) return;
      session.beatAtMs = world.now;
      return setSession(world, op.agent, { beatAtMs: String(world.now) });
    }
    case "end":
      return performEnd(world, model, op.agent);
    case "reopen": {
      await open(world, model, op.agent);
      return performInventory(world, model, op.agent, 0, op.holds);
    }
    case "inventory": {
      if (!sessionOf(model, op.agent).open) return;
      return performInventory(world, model, op.agent, op.sequence, op.holds);
    }
    default:
      return op satisfies never;
  }
}

async function performClaim(world: TaskWorld, model: Model, name: string): Promise<void> {
  const session = sessionOf(model, name);
  const free = slots - model.held(name);
  const { offers } = await claim(world, [candidate(name, session.text, slots)]);
  const able =
    session.open && session.schedulable && world.now - session.beatAtMs < limitMs && free > 0;
  const queued = model.tasks.filter(({ state }) => state === "QUEUED").length;
  expect(offers.length, "S8, I6").toBe(able ? Math.min(free, queued) : 0);
  for (const offer of offers) {
    const index = model.ids.indexOf(offer.id);
    const attempt = attemptOf(offer);
    const last = model.attempts[index]!.at(-1);
    if (last) expect(compareRefs(requireRef(attempt), requireRef(last.attempt))).toBeGreaterThan(0);
    model.attempts[index]!.push({ attempt, agent: name });
    model.step(index, {
      kind: "offer",
      agent: name,
      session: requireRef(session.text),
      attempt: requireRef(attempt),
      deadlineMs: world.now + 5_000,
    });
  }
}

async function performReport(
  world: TaskWorld,
  model: Model,
  op: Extract<Operation, { kind: "report" }>,
): Promise<void> {
  const session = sessionOf(model, op.agent).text;
  const attempt = model.attemptAt(op.task, op.age);
  const item = report(model.ids[op.task]!, attempt, { kind: op.outcome, digest: op.digest });
  const got = await settle(world, op.agent, session, item);
  const answer = model.step(op.task, {
    kind: "report",
    agent: op.agent,
    session: requireRef(session),
    attempt: requireRef(attempt),
    outcome: op.outcome,
    reason: "",
    digest: op.digest,
    ending: false,
  });
  if (answer.kind !== "verdict") throw new Error(answer.kind);
  const [verdict, superseded] = got.split(" ");
  expect(verdict).toBe(answer.verdict);
  if (answer.supersededBy) expect(superseded).toBe(formatRef(answer.supersededBy));
}

async function performEnd(world: TaskWorld, model: Model, name: string): Promise<void> {
  const session = sessionOf(model, name);
  session.open = false;
  await setSession(world, name, { state: "ENDED" });
  const given = await world.tasks.giveUp({
    deployment,
    agent: name,
    session: session.text,
    reason: "lease_expired",
    most: 100,
  });
  expect(given).toMatchObject({ kind: "given_up", more: false });
  for (const index of model.tasks.keys()) {
    model.step(index, {
      kind: "giveUp",
      agent: name,
      session: requireRef(session.text),
      reason: "lease_expired",
    });
  }
}

async function performInventory(
  world: TaskWorld,
  model: Model,
  name: string,
  sequence: number,
  held: readonly { readonly task: number; readonly word: InventoryWord }[],
): Promise<void> {
  const session = sessionOf(model, name).text;
  const entries = held.map(({ task, word }) => ({
    id: model.ids[task]!,
    attempt: model.attemptAt(task, 0),
    state: word as "ACCEPTED" | "STARTED" | "ENDED",
  }));
  const reply = await world.tasks.reconcile({
    deployment,
    inventories: [{ agent: name, session, sequence, entries }],
  });
  if (reply.kind !== "reconciled") throw new Error(reply.reason);
  const word = (task: number, is: InventoryWord): TaskAnswer =>
    model.step(task, {
      kind: "inventory",
      agent: name,
      session: requireRef(session),
      attempt: requireRef(model.attemptAt(task, 0)),
      sequence,
      word: is,
    });
  const verdicts = held.map(({ task, word: is }) => {
    const answer = word(task, is);
    return answer.kind === "inventory" ? answer.verdict : answer.kind;
  });
  expect(reply.judgements[0]?.verdicts).toEqual(verdicts);
  for (const task of model.tasks.keys()) {
    if (!held.some((entry) => entry.task === task)) word(task, "ABSENT");
  }
}

async function compare(world: TaskWorld, model: Model, when: string): Promise<void> {
  const stored = await world.tasks.get({ deployment, ids: model.ids });
  if (stored.kind !== "tasks") throw new Error(stored.reason);
  for (const [index, task] of model.tasks.entries()) {
    const row = stored.rows[index];
    const live = task.state === "ASSIGNED" ? task.attempt : task.last;
    expect(
      {
        state: row?.state,
        stage: row?.stage,
        agent: row?.agent,
        attempt: row?.attempt,
        session: row?.session,
        attempts: row?.attempts,
        retries: row?.retries,
        recoveries: row?.recoveries,
      },
      when,
    ).toEqual({
      state: task.state,
      stage: live?.stage ?? "",
      agent: live?.agent ?? "",
      attempt: live === undefined ? "" : formatRef(live.ref),
      session: live === undefined ? "" : formatRef(live.session),
      attempts: task.attempts,
      retries: task.retries,
      recoveries: task.recoveries,
    });
  }
  await compareCounts(world, model, when);
}

/** The lanes, the reserved slots and the counts follow from the tasks. */
async function compareCounts(world: TaskWorld, model: Model, when: string): Promise<void> {
  const redis = world.redis.commands;
  for (const name of agentNames) {
    const held = await redis.hgetall(`rmx:{${deployment}}:held:${name}`);
    const { slots: reserved = "0", ...attempts } = held;
    expect(Number(reserved), `S8 ${when}`).toBe(model.held(name));
    expect(Object.keys(attempts).length, when).toBe(model.held(name));
  }
  const depths = await world.tasks.depths({ deployment });
  if (depths.kind !== "depths") throw new Error(depths.reason);
  const queued = model.tasks.filter(({ state }) => state === "QUEUED").length;
  expect(depths.states.get("QUEUED"), when).toBe(queued);
  expect(depths.lanes.get("default") ?? 0, when).toBe(queued);
}
