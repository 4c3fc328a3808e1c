// SPDX-License-Identifier: Apache-2.0
// Real processes: no agent fails for time in which the control plane could not have heard it (R24, I5).
import { AgentHealth } from "@remex/proto/health/v1";
import { AttemptStage, type Task, TaskState } from "@remex/proto/scheduler/v1";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startAgent } from "../kit/agent-process.ts";
import {
  type ControlPlane,
  type Layout,
  type RoleProcess,
  startControlPlane,
  waitFor,
} from "../kit/index.ts";
import { operatorOf } from "../kit/operator.ts";

const deployment = "patience";
/** H = 2 s, so that an agent would fail after 6 s. */
const settings = { heartbeatInterval: { seconds: 2n }, stopTime: { nanos: 500_000_000 } };
/** Longer than three intervals, and than the silence after which a link ends. */
const outageMs = 9_000;
const names = ["one", "two", "three"];

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

async function start(layout?: Layout) {
  const plane = await startControlPlane(layout);
  stack.defer(() => plane.stop());
  const operator = operatorOf(plane, deployment);
  await operator.createDeployment(settings);
  const token = await operator.createToken("agents");
  for (const name of names) {
    stack.use(await startAgent({ target: plane.agentsTarget, token, name }));
  }
  const read = async () => {
    const { agents } = await operator.agents.listAgents({ deployment });
    return agents.map(({ agent, health, session }) => ({ agent, health, session }));
  };
  const healthy = () =>
    waitFor(
      async () => {
        const agents = await read();
        const well = agents.filter(({ health }) => health === AgentHealth.HEALTHY);
        if (well.length === names.length) return agents;
        throw new Error(agents.map(({ agent, health }) => `${agent} ${health}`).join(", "));
      },
      { what: "healthy agents", timeoutMs: 60_000 },
    );
  return { plane, operator, read, healthy };
}

/** Waits as long as an outage lasts: there is nothing else to see meanwhile. */
async function lasts(): Promise<void> {
  const until = performance.now() + outageMs;
  await waitFor(() => performance.now() > until, { what: "the end of the outage" });
}

function withRole(plane: ControlPlane, role: string, index = 0): RoleProcess {
  const found = plane.processes.filter(({ roles }) => roles.includes(role as never))[index];
  if (found === undefined) throw new Error(`no process serves ${role}`);
  return found;
}

const failures = (plane: ControlPlane) => plane.output().match(/agent is failed/g) ?? [];

describe("an outage of more than three intervals", () => {
  test("R24 PROTOCOL-L3 I5: the whole control plane is killed; every agent keeps session and work", async () => {
    const { plane, operator, healthy } = await start();
    const before = await healthy();
    expect(before.map(({ session }) => session)).not.toContain(undefined);
    const tasks = await Promise.all(
      names.map(() =>
        operator.submit({ work: { case: "command", value: { argv: ["/bin/sleep", "25"] } } }),
      ),
    );
    for (const task of tasks) {
      const begun = ({ attempt }: Task) => attempt?.stage === AttemptStage.STARTED;
      await operator.until(task, begun, "the start");
    }
    const only = withRole(plane, "registry");
    only.process().signal("SIGKILL");
    await only.process().ended;
    await lasts();
    await only.restart();
    const after = await healthy();
    expect(after.map(({ session }) => session)).toEqual(before.map(({ session }) => session));
    expect(failures(plane)).toEqual([]);
    for (const task of tasks) {
      const ended = await operator.untilEnded(task, 60_000);
      expect(ended).toMatchObject({ state: TaskState.SUCCEEDED, attempts: 1 });
    }
  });

  test("R24 PROTOCOL-L3: Redis is away", async () => {
    const { plane, healthy } = await start();
    const before = await healthy();
    await plane.redis.kill();
    await lasts();
    await plane.redis.start();
    const after = await healthy();
    expect(after.map(({ session }) => session)).toEqual(before.map(({ session }) => session));
    expect(failures(plane)).toEqual([]);
  });

  test("PROTOCOL-L3 I5: the one registry, and then one of two monitors, stands still while the rest lives", async () => {
    const { plane, read, healthy } = await start({
      processes: [
        ["token", "health-monitor", "scheduler", "gateway"],
        ["health-monitor"],
        ["registry"],
      ],
    });
    const before = await healthy();
    const sessions = before.map(({ session }) => session);
    for (const still of [withRole(plane, "registry"), withRole(plane, "health-monitor", 1)]) {
      still.process().signal("SIGSTOP");
      try {
        await lasts();
      } finally {
        still.process().signal("SIGCONT");
      }
      const after = await healthy();
      expect(after.map(({ session }) => session)).toEqual(sessions);
      expect(failures(plane)).toEqual([]);
    }
    expect(await read()).toHaveLength(names.length);
  });
});
