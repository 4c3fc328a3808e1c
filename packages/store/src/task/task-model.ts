// SPDX-License-Identifier: Apache-2.0
// The pure machine beside the store: performs an operation on both and compares answers and tasks.

import assert from "node:assert/strict";
import {
  compareRefs,
  formatRef,
  type InventoryWord,
  isTerminal,
  newTask,
  requireRef,
  stepTask,
  type Task,
  type TaskAnswer,
  type TaskEvent,
} from "@remex/domain";
import { agentNames, type Operation, policies, slots, words } from "./task-operations.ts";
import type { TaskRow } from "./task-reads.ts";
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
  submission,
  type TaskWorld,
} from "./task-test-kit.ts";

function must<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("the model knows four tasks");
  return value;
}

interface ModelSession {
  text: string;
  /** First session of this process. */
  instanceFrom: string;
  open: boolean;
  schedulable: boolean;
  beatAtMs: number;
}

/** The machine's side: four tasks, two sessions, and what it expects of each answer. */
export class Model {
  readonly tasks: Task[] = policies.map(newTask);
  readonly ids = words.map((word) => submission(word).id);
  readonly sessions = new Map<string, ModelSession>();
  /** Every attempt that was ever offered, newest last, by task. */
  readonly attempts: { readonly attempt: string; readonly agent: string }[][] = [[], [], [], []];

  step(index: number, event: TaskEvent): TaskAnswer {
    const before = this.taskAt(index);
    const { task, answer } = stepTask(before, event);
    this.tasks[index] = task;
    if (isTerminal(before.state)) assert.deepEqual(task, before, "I4: an ended task never changes");
    assert.ok(task.recoveries <= task.policy.maxRecoveries, "I20");
    assert.ok(task.retries <= task.policy.maxRetries);
    return answer;
  }

  attemptAt(index: number, back: number): string {
    const known = this.attemptsAt(index);
    return known.at(-1 - back)?.attempt ?? `${epoch}.999`;
  }

  taskAt(index: number): Task {
    return must(this.tasks[index]);
  }

  idAt(index: number): string {
    return must(this.ids[index]);
  }

  attemptsAt(index: number): { readonly attempt: string; readonly agent: string }[] {
    return must(this.attempts[index]);
  }

  /** The operation with its agent named. */
  named<Op extends Operation>(op: Op): Op {
    if (!("agent" in op) || op.agent !== "holder") return op;
    const { task, age: back } = op as unknown as { task: number; age: number };
    return { ...op, agent: this.attempts[task]?.at(-1 - back)?.agent ?? "a1" };
  }

  held(name: string): number {
    return this.tasks.filter((task) => task.state === "ASSIGNED" && task.attempt.agent === name)
      .length;
  }

  /** Attempts whose work another process may still run (H1). */
  kept(name: string): number {
    return this.tasks.filter((task) => task.state === "HELD" && task.attempt.agent === name).length;
  }

  /** The step that leads a task on, as an operation. */
  next(task: number, name: string): Operation {
    const state = this.taskAt(task);
    if (state.state !== "ASSIGNED") return { kind: "claim", agent: name };
    const { agent: holder, stage } = state.attempt;
    const kind = stage === "OFFERED" ? "accept" : "start";
    return { kind, agent: holder, task, age: 0 };
  }
}

export async function begin(world: TaskWorld): Promise<Model> {
  await world.reset();
  const model = new Model();
  for (const name of agentNames) await open(world, model, name, true);
  const items = words.map((word, index) => submission(word, { ...policies[index] }));
  await world.tasks.submit({ deployment, items });
  return model;
}

async function open(world: TaskWorld, model: Model, name: string, fresh: boolean): Promise<void> {
  const text = await world.setSession(name);
  const before = model.sessions.get(name)?.instanceFrom;
  const instanceFrom = fresh || before === undefined ? text : before;
  await setSession(world, name, { instanceFrom });
  model.sessions.set(name, {
    text,
    instanceFrom,
    open: true,
    schedulable: true,
    beatAtMs: world.now,
  });
}

async function setSession(world: TaskWorld, name: string, fields: Record<string, string>) {
  await world.redis.commands.hset(`rmx:{${deployment}}:session:${name}`, fields);
}

function sessionOf(model: Model, name: string): ModelSession {
  const session = model.sessions.get(name);
  if (session === undefined) throw new Error(`no session of ${name}`);
  return session;
}

export async function perform(world: TaskWorld, model: Model, op: Operation): Promise<void> {
  switch (op.kind) {
    case "claim":
      return performClaim(world, model, op.agent);
    case "advance":
      return perform(world, model, model.next(op.task, op.agent));
    case "accept": {
      const session = sessionOf(model, op.agent);
      const attempt = model.attemptAt(op.task, op.age);
      const id = model.idAt(op.task);
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
          onCut: "CONTINUE",
        },
      });
      const task = model.tasks[op.task];
      const aborts = task?.state === "ASSIGNED" && "aborts" in task.attempt && task.attempt.aborts;
      const confirmed =
        answer.kind === "confirm" && aborts === true ? "confirm_abort" : answer.kind;
      assert.equal(got, answer.kind === "withdraw" ? answer.reason : confirmed);
      return;
    }
    case "start": {
      const attempt = model.attemptAt(op.task, op.age);
      const note = { agent: op.agent, id: model.idAt(op.task), attempt, note: "" };
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
      const decline = {
        agent: op.agent,
        id: model.idAt(op.task),
        attempt,
        reason: "no_slots",
        message: "",
      };
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
      const cancel = await world.tasks.cancel({ deployment, ids: [model.idAt(op.task)] });
      const answer = model.step(op.task, { kind: "cancel" });
      if (cancel.kind !== "wished") throw new Error(cancel.reason);
      const [got] = cancel.answers;
      assert.equal(got?.state, model.taskAt(op.task).state);
      if (answer.kind === "cancel") assert.equal(got?.tell?.attempt, formatRef(answer.attempt));
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
      return performEnd(world, model, op);
    case "expireHolds": {
      await world.tasks.expireHolds({ deployment, most: 100 });
      for (const index of model.tasks.keys()) {
        model.step(index, { kind: "expireHold", nowMs: world.now });
      }
      return;
    }
    case "reopen": {
      await open(world, model, op.agent, op.fresh);
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
  assert.equal(offers.length, able ? Math.min(free, queued) : 0, "S8, I6");
  for (const offer of offers) {
    const index = model.ids.indexOf(offer.id);
    const attempt = attemptOf(offer);
    const last = model.attemptsAt(index).at(-1);
    if (last) assert.ok(compareRefs(requireRef(attempt), requireRef(last.attempt)) > 0, "I9");
    model.attemptsAt(index).push({ attempt, agent: name });
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
  const item = report(model.idAt(op.task), attempt, { kind: op.outcome, digest: op.digest });
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
  assert.equal(verdict, answer.verdict);
  if (answer.supersededBy) assert.equal(superseded, formatRef(answer.supersededBy));
}

async function performEnd(
  world: TaskWorld,
  model: Model,
  { agent: name, how, lateMs }: Extract<Operation, { kind: "end" }>,
): Promise<void> {
  const session = sessionOf(model, name);
  session.open = false;
  await setSession(world, name, { state: "ENDED", health: how === "idle" ? "LEFT" : "FAILED" });
  const endedAtMs = world.now;
  world.now += lateMs;
  const reason = how === "at_once" ? "deleted" : "lease_expired";
  const given = await world.tasks.giveUp({
    deployment,
    agent: name,
    session: session.text,
    reason,
    endedAtMs,
    most: 100,
  });
  assert.ok(given.kind === "given_up" && !given.more);
  for (const index of model.tasks.keys()) {
    model.step(index, {
      kind: "giveUp",
      agent: name,
      session: requireRef(session.text),
      reason,
      how,
      endedAtMs,
      nowMs: world.now,
      lostAfterMs: 0,
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
  const { text: session, instanceFrom } = sessionOf(model, name);
  const entries = held.map(({ task, word }) => ({
    id: model.idAt(task),
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
      instanceFrom: requireRef(instanceFrom),
    });
  const verdicts = held.map(({ task, word: is }) => {
    const answer = word(task, is);
    return answer.kind === "inventory" ? answer.verdict : answer.kind;
  });
  assert.deepEqual(reply.judgements[0]?.verdicts, verdicts);
  for (const task of model.tasks.keys()) {
    if (!held.some((entry) => entry.task === task)) word(task, "ABSENT");
  }
}

export async function compare(world: TaskWorld, model: Model, when: string): Promise<void> {
  const read = await world.tasks.get({ deployment, ids: model.ids });
  if (read.kind !== "tasks") throw new Error(read.reason);
  for (const [index, task] of model.tasks.entries()) {
    const row: TaskRow | undefined = read.rows[index];
    const live = task.state === "ASSIGNED" || task.state === "HELD" ? task.attempt : task.last;
    const stored: Readonly<Record<string, unknown>> = {
      state: row?.state,
      stage: row?.stage,
      agent: row?.agent,
      attempt: row?.attempt,
      session: row?.session,
      attempts: row?.attempts,
      retries: row?.retries,
      recoveries: row?.recoveries,
      heldUntilMs: row?.heldUntilMs,
    };
    assert.deepEqual(
      stored,
      {
        state: task.state,
        stage: live?.stage ?? "",
        agent: live?.agent ?? "",
        attempt: live === undefined ? "" : formatRef(live.ref),
        session: live === undefined ? "" : formatRef(live.session),
        attempts: task.attempts,
        retries: task.retries,
        recoveries: task.recoveries,
        heldUntilMs: task.state === "HELD" ? task.dueMs : 0,
      },
      when,
    );
  }
  await compareCounts(world, model, when);
}

/** The lanes, the reserved slots and the counts follow from the tasks. */
async function compareCounts(world: TaskWorld, model: Model, when: string): Promise<void> {
  const redis = world.redis.commands;
  for (const name of agentNames) {
    const held = await redis.hgetall(`rmx:{${deployment}}:held:${name}`);
    const { slots: reserved = "0", ...attempts } = held;
    assert.equal(Number(reserved), model.held(name), `S8 ${when}`);
    assert.equal(Object.keys(attempts).length, model.held(name) + model.kept(name), when);
  }
  const kept = model.tasks.filter(({ state }) => state === "HELD").length;
  assert.equal(await redis.zcard(`rmx:{${deployment}}:holds`), kept, when);
  const depths = await world.tasks.depths({ deployment });
  if (depths.kind !== "depths") throw new Error(depths.reason);
  const queued = model.tasks.filter(({ state }) => state === "QUEUED").length;
  assert.equal(depths.states.get("QUEUED"), queued, when);
  assert.equal(depths.states.get("HELD"), kept, when);
  assert.equal(depths.lanes.get("default") ?? 0, queued, when);
}
