// SPDX-License-Identifier: Apache-2.0
// Two registries, two monitors and two schedulers in processes of their own: agents move between them.
import { create } from "@bufbuild/protobuf";
import {
  AttemptState,
  InventoryVerdict,
  ReportVerdict,
  SendLogRequestSchema,
  type Welcome,
} from "@remex/proto/agent/v1";
import { OnLost, OutcomeKind } from "@remex/proto/common/v1";
import { AgentHealth } from "@remex/proto/health/v1";
import { AttemptStage, TaskState } from "@remex/proto/scheduler/v1";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  type ControlPlane,
  type RoleProcess,
  startControlPlane,
  waitFor,
} from "../../kit/index.ts";
import { operatorOf } from "../../kit/operator.ts";
import {
  createFakeAgent,
  type FakeAgent,
  type FakeStream,
  goodHello,
  sessionMetadata,
} from "./fake-agent.ts";

const deployment = "two";
let plane: ControlPlane;
let operator: ReturnType<typeof operatorOf>;
let token: string;
let first: RoleProcess;
let second: RoleProcess;
let name: string;
let count = 0;
const open: FakeAgent[] = [];

beforeAll(async () => {
  plane = await startControlPlane({
    processes: [
      ["token", "health-monitor", "scheduler", "registry", "gateway"],
      ["health-monitor", "scheduler", "registry"],
    ],
  });
  [first, second] = plane.processes as [RoleProcess, RoleProcess];
  operator = operatorOf(plane, deployment);
  await operator.createDeployment();
  token = await operator.createToken("agents");
});
afterAll(() => plane?.stop());
beforeEach(() => {
  count += 1;
  name = `agent-${count}`;
});
afterEach(() => {
  for (const agent of open.splice(0)) agent.close();
});

function dial(process: RoleProcess): FakeAgent {
  const agent = createFakeAgent(process.agentsTarget);
  open.push(agent);
  return agent;
}

async function register(process: RoleProcess): Promise<{ stream: FakeStream; welcome: Welcome }> {
  const stream = dial(process).open(token, goodHello(name));
  return { stream, welcome: await stream.welcome() };
}

const shown = async () => (await operator.agents.getAgent({ deployment, agent: name })).agent;

describe("agents between registries", () => {
  it("PROTOCOL-L5 I13: a resume at another registry keeps the session, and the older stream is closed", async () => {
    const { stream, welcome } = await register(first);
    stream.beat(1);
    await stream.hear("beatAck");
    const resumed = dial(second).resume(welcome, goodHello(name), 2);
    expect(await resumed.welcome()).toMatchObject({ resumed: true, session: welcome.session });
    expect(await stream.ended).toMatchObject({ code: "session_superseded" });
    resumed.beat(2);
    await resumed.hear("beatAck");
    await waitFor(async () => (await shown())?.health === AgentHealth.HEALTHY, { what: "healthy" });
  });

  it("PROTOCOL-T6 I13: a restarted agent takes its old session over at another registry; without the lock it is a conflict", async () => {
    const { stream, welcome } = await register(first);
    stream.beat(1);
    await stream.hear("beatAck");
    const task = await operator.submit({
      work: { case: "noop", value: {} },
      onLost: OnLost.REQUEUE,
    });
    const lost = await operator.submit({
      work: { case: "noop", value: {} },
      onLost: OnLost.REQUEUE,
    });
    for (const [index, id] of [task, lost].entries()) {
      const { attempt } = await stream.hear("offer", (offer) => offer.task === id);
      if (attempt === undefined) throw new Error("no attempt");
      stream.say([{ case: "accept", value: { task: id, attempt, sequence: BigInt(index + 2) } }]);
      await stream.hear("confirm", (confirm) => confirm.task === id);
      const started = { case: "started", value: {} } as const;
      stream.say([{ case: "progress", value: { task: id, attempt, progress: started } }]);
    }
    await operator.until(lost, (row) => row.attempt?.stage === AttemptStage.STARTED, "the start");
    const { attempt } = await stream.hear("offer", (offer) => offer.task === task);
    const instance = new Uint8Array(16).fill(2);
    const conflict = dial(second).open(token, goodHello(name, { instance }));
    expect(await conflict.ended).toMatchObject({ code: "agent_name_alive" });
    expect((await shown())?.conflictAt).toBeDefined();
    const oldInstance = new Uint8Array(16).fill(1);
    const entry = {
      task,
      ...(attempt && { attempt }),
      state: AttemptState.ENDED,
      slotCost: 1,
      queue: "default",
    };
    const taken = dial(second).open(
      token,
      goodHello(name, { instance, takeover: { oldInstance }, inventory: { entries: [entry] } }),
    );
    const { session } = await taken.welcome();
    expect(session?.number).toBeGreaterThan(welcome.session?.number ?? 0n);
    // The old stream, wherever it is, is closed; the end that is in the journal waits for its report (C2).
    await stream.ended;
    const answer = await taken.hear("inventoryAnswer");
    expect(answer.verdicts).toMatchObject([{ task, verdict: InventoryVerdict.REPORT }]);
    const ended = { kind: OutcomeKind.SUCCEEDED };
    taken.say([{ case: "report", value: { task, ...(attempt && { attempt }), outcome: ended } }]);
    expect(await taken.hear("reportAnswer")).toMatchObject({ verdict: ReportVerdict.ACCEPTED });
    expect((await operator.untilEnded(task)).state).toBe(TaskState.SUCCEEDED);
    // What the journal does not have is given up at once, not when the old lease would have run out.
    await operator.until(lost, (row) => row.recoveries === 1, "the loss");
  });

  it("SEC-T7: a revoked token's session ends at whichever registry it is", async () => {
    const own = await operator.createToken(`doomed-${count}`);
    const stream = dial(second).open(own, goodHello(name));
    await stream.welcome();
    const id = own.split("_")[1] ?? "";
    await operator.tokens.revokeAgentToken({ deployment, token: id });
    expect(await stream.hear("sessionEnding")).toMatchObject({ reason: "token_revoked" });
  });

  it("the log of a task is read through whichever registry is asked", async () => {
    const { stream, welcome } = await register(second);
    stream.beat(1);
    const task = await operator.submit({ work: { case: "noop", value: {} } });
    const { attempt } = await stream.hear("offer", (offer) => offer.task === task);
    if (attempt === undefined) throw new Error("no attempt");
    stream.say([{ case: "accept", value: { task, attempt, sequence: 2n } }]);
    await stream.hear("confirm");
    stream.say([
      { case: "progress", value: { task, attempt, progress: { case: "started", value: {} } } },
    ]);
    const reading = (async () => {
      let text = "";
      for await (const part of operator.agents.readTaskLog({ deployment, task })) {
        text += Buffer.from(part.data).toString();
      }
      return text;
    })();
    const { fetch } = await stream.hear("logFetch");
    const metadata = sessionMetadata(welcome, name);
    const { call } = dial(second).client.sendLog({ metadata });
    const data = Buffer.from("from afar");
    call.write(create(SendLogRequestSchema, { fetch, data, complete: true }));
    call.end();
    expect(await reading).toBe("from afar");
  });

  it("PROTOCOL-L5: a registry that stops sends its agents away, and they resume elsewhere", async () => {
    const { stream, welcome } = await register(second);
    stream.beat(1);
    await stream.hear("beatAck");
    second.process().signal("SIGTERM");
    expect(await stream.hear("goAway")).toMatchObject({ reason: "shutting_down" });
    const resumed = dial(first).resume(welcome, goodHello(name), 2);
    expect(await resumed.welcome()).toMatchObject({ resumed: true });
    await second.process().ended;
    resumed.beat(2);
    await resumed.hear("beatAck");
    await second.restart();
  });

  it("PROTOCOL-L5: when a registry and a monitor are killed, the session goes on at the others", async () => {
    const { stream, welcome } = await register(second);
    stream.beat(1);
    await stream.hear("beatAck");
    second.process().signal("SIGKILL");
    await stream.ended;
    const resumed = dial(first).resume(welcome, goodHello(name), 2);
    expect(await resumed.welcome()).toMatchObject({ resumed: true });
    let sequence = 1n;
    await waitFor(
      () => {
        // A beat that went to the dead monitor is lost; the next one reaches the living.
        sequence += 1n;
        resumed.beat(Number(sequence));
        return resumed.heard.some(({ event }) => event.case === "beatAck");
      },
      { what: "an acknowledgement by the living monitor" },
    );
    await second.restart();
  });
});
