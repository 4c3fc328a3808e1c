// SPDX-License-Identifier: Apache-2.0
// Holds the services to the proto with three client stacks (R29): agents on grpc-js and on Python's
// grpcio, each from the proto files alone, and the gateway driven by Connect.
import { fileURLToPath } from "node:url";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { AgentHealth } from "@remex/proto/health/v1";
import { AgentService, DeploymentService } from "@remex/proto/registry/v1";
import { TaskService, TaskState } from "@remex/proto/scheduler/v1";
import { AgentTokenService } from "@remex/proto/token/v1";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type ControlPlane,
  rolesApart,
  startControlPlane,
  startProgram,
  waitFor,
} from "../kit/index.ts";
import { type AgentRun, runContractAgent } from "./grpc-js-agent.ts";

const venvPython = fileURLToPath(new URL("../../.remex/airflow-venv/bin/python", import.meta.url));
const grpcioAgent = fileURLToPath(new URL("./grpcio_agent.py", import.meta.url));
const protoFolder = fileURLToPath(new URL("../../proto", import.meta.url));
const deployment = "contract";

const withKey =
  (value: string): Interceptor =>
  (next) =>
  (request) => {
    request.header.set("authorization", `Bearer ${value}`);
    return next(request);
  };

describe("R28: all roles apart, driven over the wire", () => {
  let plane: ControlPlane;
  let token: string;
  let json: Transport;

  beforeAll(async () => {
    plane = await startControlPlane(rolesApart);
    const options = { baseUrl: plane.url, interceptors: [withKey(plane.adminKey)] };
    json = createConnectTransport({ ...options, httpVersion: "1.1", useBinaryFormat: false });
    await createClient(DeploymentService, createGrpcTransport(options)).createDeployment({
      deployment,
    });
    const created = await createClient(AgentTokenService, json).createAgentToken({
      deployment,
      name: "contract",
      expiry: { case: "neverExpires", value: true },
    });
    token = created.value;
  });
  afterAll(() => plane?.stop());

  async function submitNoops(count: number): Promise<string[]> {
    const { results } = await createClient(TaskService, json).submitTasks({
      deployment,
      tasks: Array.from({ length: count }, () => ({ spec: { work: { case: "noop", value: {} } } })),
    });
    return results.map(({ task }) => task);
  }

  async function expectDone(run: AgentRun, tasks: readonly string[], agent: string): Promise<void> {
    expect(run).toMatchObject({ deployment });
    expect([...run.tasks].sort()).toEqual([...tasks].sort());
    expect(run.verdicts).toEqual(tasks.map(() => "REPORT_VERDICT_ACCEPTED"));
    const { tasks: read } = await createClient(TaskService, json).batchGetTasks({
      deployment,
      tasks: [...tasks],
    });
    expect(read.map(({ state }) => state)).toEqual(tasks.map(() => TaskState.SUCCEEDED));
    expect(read.map(({ attempt }) => attempt?.agent)).toEqual(tasks.map(() => agent));
    await waitFor(
      async () => {
        const shown = await createClient(AgentService, json).getAgent({ deployment, agent });
        return shown.agent?.health === AgentHealth.LEFT;
      },
      { what: `${agent} has left` },
    );
  }

  test("R2 R8 R29: an agent on grpc-js registers, beats and runs tasks to their end", async () => {
    const tasks = await submitNoops(3);
    const options = { target: plane.agentsTarget, token, queues: ["default"], tasks: 3 };
    const run = await runContractAgent({ ...options, agent: "on-grpc-js" });
    expect(run.acknowledgedBeats).toBeGreaterThan(0);
    await expectDone(run, tasks, "on-grpc-js");
  });

  test("R2 R8 R29: an agent on Python's grpcio registers, beats and runs tasks to their end", async () => {
    const tasks = await submitNoops(3);
    const args = [grpcioAgent, protoFolder, plane.agentsTarget, "on-grpcio", "default", "3"];
    await using agent = startProgram(venvPython, args, { input: `${token}\n` });
    expect([await agent.ended, agent.output()]).toEqual([0, expect.any(String)]);
    const run = JSON.parse(agent.output()) as AgentRun;
    expect(run.acknowledgedBeats).toBeGreaterThan(0);
    await expectDone(run, tasks, "on-grpcio");
  });

  test("R1 R29: a worker never gets a trigger and a triggerer never a command, whatever they say they can", async () => {
    const client = createClient(TaskService, json);
    const trigger = {
      case: "trigger" as const,
      value: {
        builtin: { trigger: { case: "timer" as const, value: { after: durationFromMs(10) } } },
      },
    };
    const { results } = await client.submitTasks({
      deployment,
      tasks: [1, 2].map(() => ({ spec: { work: trigger } })),
    });
    const triggers = results.map(({ task }) => task);
    const noops = await submitNoops(2);
    const runtimes = ["noop", "command", "trigger_builtin"];
    const options = { target: plane.agentsTarget, token, queues: ["default"], runtimes, tasks: 2 };
    const [worker, triggerer] = await Promise.all([
      runContractAgent({ ...options, agent: "all-worker" }),
      runContractAgent({ ...options, agent: "all-triggerer", kind: "AGENT_KIND_TRIGGERER" }),
    ]);
    expect([worker.offered, triggerer.offered]).toEqual([
      ["noop", "noop"],
      ["trigger", "trigger"],
    ]);
    await expectDone(worker, noops, "all-worker");
    await expectDone(triggerer, triggers, "all-triggerer");
    for (const task of triggers) {
      const { events, total } = await client.listTriggerEvents({ deployment, task });
      expect(total).toBe(1n);
      expect(Buffer.from(events[0]?.payload ?? []).toString()).toBe("from the proto alone");
    }
  });

  test("R1: an agent whose runner has none of what its kind does is refused, with what to do", async () => {
    const options = { target: plane.agentsTarget, token, queues: ["default"], tasks: 1 };
    const kinds = ["AGENT_KIND_TRIGGERER", "AGENT_KIND_DAG_PROCESSOR"];
    const refused = await Promise.all(
      kinds.map((kind) =>
        runContractAgent({ ...options, agent: "unfit", kind }).catch((error: unknown) => error),
      ),
    );
    expect(refused).toMatchObject([
      { code: 9, details: expect.stringContaining("built-in") },
      { code: 9, details: expect.stringContaining("airflow") },
    ]);
  });

  test("R8: a wrong token is refused the same way on both stacks", async () => {
    const options = { target: plane.agentsTarget, queues: ["default"], tasks: 1 };
    const wrong = `${token.slice(0, -1)}${token.endsWith("0") ? "1" : "0"}`;
    const refused = await runContractAgent({ ...options, agent: "a", token: wrong }).catch(
      (error: unknown) => error,
    );
    expect(refused).toMatchObject({ code: 16 });
    const args = [grpcioAgent, protoFolder, plane.agentsTarget, "a", "default", "1"];
    await using agent = startProgram(venvPython, args, { input: `${wrong}\n` });
    expect(await agent.ended).toBe(1);
    const answer = JSON.parse(agent.output()) as { code: string; message: string };
    expect(answer.code).toBe("UNAUTHENTICATED");
    expect((refused as { details: string }).details).toBe(answer.message);
  });

  test("SEC-G1: no process has written the token or the admin key anywhere in its output", () => {
    expect(plane.output()).not.toContain(token);
    expect(plane.output()).not.toContain(plane.adminKey);
  });
});
