// SPDX-License-Identifier: Apache-2.0
// Real processes whose Redis is wiped, replaced by a replica that is behind, or restarted: what runs is kept.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { AuditService } from "@remex/proto/gateway/v1";
import { AttemptStage, type Task, TaskState } from "@remex/proto/scheduler/v1";
import { primaryArgs, startReplicaOf } from "@remex/store/testing";
import { Redis } from "ioredis";
import { describe, expect, test } from "vitest";
import { startAgent } from "../kit/agent-process.ts";
import {
  allRoles,
  type ControlPlane,
  createTempDir,
  findFreePort,
  type Layout,
  type RoleProcess,
  startControlPlane,
  waitFor,
} from "../kit/index.ts";
import { operatorOf } from "../kit/operator.ts";

const deployment = "losses";
/** SL, and with it the quarantine, is 6 s. */
const settings = { heartbeatInterval: durationFromMs(2_000), stopTime: durationFromMs(1_000) };
const always = ["--appendfsync", "always"];
const patientMs = 90_000;

/** A control plane with a deployment and agents, whose tasks note each start in a journal of their own. */
async function startWorld(stack: AsyncDisposableStack, layout: Layout, agents: readonly string[]) {
  const folder = stack.use(await createTempDir());
  const plane = await startControlPlane(layout);
  stack.defer(() => plane.stop());
  const operator = operatorOf(plane, deployment);
  await operator.createDeployment(settings);
  const token = await operator.createToken("first");
  const processes = [];
  for (const [index, name] of agents.entries()) {
    const target = plane.processes[index % plane.processes.length]?.agentsTarget ?? "";
    processes.push(stack.use(await startAgent({ target, token, name })));
  }
  const journal = join(folder.path, "journal");
  const spec = (key: string, seconds: number) => {
    const note = 'echo "$1 $REMEX_ATTEMPT" >> "$2"; sleep "$3"';
    const argv = ["/bin/sh", "-c", note, "sh", key, journal, String(seconds)];
    return { work: { case: "command" as const, value: { argv } } };
  };
  return {
    plane,
    operator,
    processes,
    submit: (key: string, seconds = 0) => operator.submit(spec(key, seconds), key),
    untilStarted: (task: string) =>
      operator.until(task, ({ attempt }) => attempt?.stage === AttemptStage.STARTED, "the start"),
    untilEnded: (task: string) => operator.untilEnded(task, patientMs),
    /** How often each task was started, by its key. */
    starts: async () => {
      const lines = (await readFile(journal, "utf8")).trim().split("\n");
      return Object.fromEntries(
        [...Map.groupBy(lines, (line) => line.split(" ")[0] ?? "")].map(([key, all]) => [
          key,
          all.length,
        ]),
      );
    },
  };
}

const attemptText = ({ attempt }: Task) => `${attempt?.attempt?.epoch}.${attempt?.attempt?.number}`;

/** Every process has the deployment in effect in an epoch after `before`. */
async function untilNewEpoch(plane: ControlPlane, before: string): Promise<string> {
  const redis = new Redis(plane.redis.url.slice("unix://".length), { maxRetriesPerRequest: null });
  redis.on("error", () => undefined);
  try {
    return await waitFor(
      async () => {
        const epoch = await redis.hget(`rmx:{${deployment}}:config`, "epoch");
        return epoch !== null && Number(epoch) > Number(before) && epoch;
      },
      { what: "the projection in a new epoch" },
    );
  } finally {
    redis.disconnect();
  }
}

async function epochOf(plane: ControlPlane): Promise<string> {
  const redis = new Redis(plane.redis.url.slice("unix://".length));
  try {
    return (await redis.get("rmx:global:epoch")) ?? "";
  } finally {
    redis.disconnect();
  }
}

describe("a store that loses what it knew", () => {
  test("R32, PROTOCOL-D2, I14: wiped under load, agents come back by themselves, what runs keeps its attempt and its one result, what was queued runs once", async () => {
    await using stack = new AsyncDisposableStack();
    const layout = { processes: [allRoles, allRoles] };
    const world = await startWorld(stack, layout, ["one", "two"]);
    const { operator, plane } = world;
    const audit = createClient(AuditService, operator.transport);
    // Eight tasks fill both agents; one of the agents is cordoned then, and six more wait.
    const running = await Promise.all(range(8).map((n) => world.submit(`running-${n}`, 16)));
    const before = await Promise.all(running.map(world.untilStarted));
    await operator.agents.cordonAgent({ deployment, agent: "two", note: "rest" });
    const queued = await Promise.all(range(6).map((n) => world.submit(`queued-${n}`)));
    const tokensBefore = await operator.tokens.listAgentTokens({ deployment });
    const auditBefore = await audit.listAuditEntries({ deployment });
    const firstEpoch = await epochOf(plane);

    // Load goes on all the time, and whatever was not acknowledged as ended is submitted again.
    let loading = true;
    const load = submitOnAndOn(world.submit, () => loading);
    const direct = new Redis(plane.redis.url.slice("unix://".length));
    await direct.flushall();
    direct.disconnect();
    await untilNewEpoch(plane, firstEpoch);
    for (const n of range(6)) {
      const again = await waitFor(() => world.submit(`queued-${n}`), { what: "a submission" });
      expect(again).toBe(queued[n]);
    }
    loading = false;
    const loaded = await load;

    const after = await Promise.all(running.map(world.untilEnded));
    expect(after.map(({ state }) => TaskState[state])).toEqual(range(8).map(() => "SUCCEEDED"));
    expect(after.map(attemptText)).toEqual(before.map(attemptText));
    expect(after.map(({ attempts }) => attempts)).toEqual(range(8).map(() => 1));
    for (const task of [...queued, ...loaded]) {
      expect(TaskState[(await world.untilEnded(task)).state]).toBe("SUCCEEDED");
    }
    const starts = await world.starts();
    expect(new Set(Object.values(starts))).toEqual(new Set([1]));
    expect(Object.keys(starts)).toHaveLength(8 + 6 + loaded.length);

    // The same processes, with the same token and decisions.
    for (const { program } of world.processes) {
      expect(await Promise.race([program.ended, "runs"])).toBe("runs");
    }
    const { agents } = await operator.agents.listAgents({ deployment });
    const shown = agents.map(({ agent, availability }) => [agent, availability]);
    expect(Object.fromEntries(shown)).toMatchObject({ one: 1, two: 2 });
    const tokensAfter = await operator.tokens.listAgentTokens({ deployment });
    expect(tokensAfter.tokens.map(({ token }) => token)).toEqual(
      tokensBefore.tokens.map(({ token }) => token),
    );
    const auditAfter = await audit.listAuditEntries({ deployment });
    const entries = new Set(auditAfter.entries.map(({ entry }) => entry));
    expect(auditBefore.entries.every(({ entry }) => entries.has(entry))).toBe(true);
  });

  test("PROTOCOL-D2, I9: a replica that is behind is promoted: what ran is adopted, lost results are taken again or re-run by a new attempt", async () => {
    await using stack = new AsyncDisposableStack();
    const port = await findFreePort();
    const world = await startWorld(stack, { redisArgs: primaryArgs(port) }, ["one", "two"]);
    const { plane, operator } = world;
    const replica = await startReplicaOf(plane.redis, port);
    stack.defer(() => replica.stop());
    const known = await world.submit("known", 14);
    const knownBefore = await world.untilStarted(known);
    const firstEpoch = await epochOf(plane);
    await waitFor(() => isCaughtUp(plane), { what: "the replica" });
    await replica.cut();
    // From here on the promoted store knows nothing of it.
    const newer = await world.submit("newer", 14);
    const newerBefore = await world.untilStarted(newer);
    const lost = await world.submit("lost");
    await world.untilEnded(lost);
    await replica.promote();
    await untilNewEpoch(plane, firstEpoch);
    await expect(operator.tasks.getTask({ deployment, task: lost })).rejects.toThrow(
      /lost|no task/,
    );
    const knownAfter = await world.untilEnded(known);
    const newerAfter = await world.untilEnded(newer);
    expect([knownAfter.state, newerAfter.state]).toEqual([
      TaskState.SUCCEEDED,
      TaskState.SUCCEEDED,
    ]);
    expect(attemptText(knownAfter)).toBe(attemptText(knownBefore));
    expect(attemptText(newerAfter)).toBe(attemptText(newerBefore));
    // Its owner has its result and does not ask again; who does, gets a new attempt of the new epoch.
    expect(await world.submit("lost")).toBe(lost);
    const again = await world.untilEnded(lost);
    expect(Number(again.attempt?.attempt?.epoch)).toBeGreaterThan(Number(firstEpoch));
    expect(await world.starts()).toEqual({ known: 1, newer: 1, lost: 2 });
  });

  test("PROTOCOL-D3, I1: killed and restarted over its own data, written always: nothing acknowledged is lost, nothing starts twice", async () => {
    await using stack = new AsyncDisposableStack();
    const world = await startWorld(stack, { redisArgs: always }, ["one", "two"]);
    const { plane } = world;
    const firstEpoch = await epochOf(plane);
    const tasks = await Promise.all(range(30).map((n) => world.submit(`task-${n}`, 1)));
    await world.untilStarted(tasks[0] ?? "");
    await plane.redis.kill();
    await plane.redis.start();
    await untilNewEpoch(plane, firstEpoch);
    for (const task of tasks) {
      expect(await world.untilEnded(task)).toMatchObject({
        state: TaskState.SUCCEEDED,
        recoveries: 0,
      });
    }
    const starts = await world.starts();
    expect(Object.keys(starts)).toHaveLength(30);
    expect(new Set(Object.values(starts))).toEqual(new Set([1]));
    const [only] = plane.processes as [RoleProcess];
    expect(only.process().output()).toMatch(/redis has a new epoch.*run_id|run_id.*new epoch/);
  });
});

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** Submits tasks until it is told to stop; each again until it was taken. Answers their ids. */
async function submitOnAndOn(
  submit: (key: string) => Promise<string>,
  goOn: () => boolean,
): Promise<string[]> {
  const keys: string[] = [];
  while (goOn()) {
    const key = `load-${keys.length}`;
    keys.push(key);
    await waitFor(() => submit(key), { what: "a submission under load" });
  }
  // Those that were taken before the wipe are gone with it; their owner asks for all of them again.
  return Promise.all(keys.map((key) => waitFor(() => submit(key), { what: "a submission" })));
}

async function isCaughtUp(plane: ControlPlane): Promise<boolean> {
  const redis = new Redis(plane.redis.url.slice("unix://".length));
  try {
    return (await redis.wait(1, 1_000)) === 1;
  } finally {
    redis.disconnect();
  }
}
