// SPDX-License-Identifier: Apache-2.0
// DeploymentService and QueueService on real records and a real Redis.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Client,
  createClient,
  createRouterTransport,
  type Interceptor,
} from "@connectrpc/connect";
import { RemexError } from "@remex/domain";
import { DeploymentService, QueueService } from "@remex/proto/registry/v1";
import { openRecords, type Records } from "@remex/records";
import { createSilentLogger } from "@remex/runtime";
import { createFakeClock, type FakeClock } from "@remex/runtime/testing";
import {
  createDeploymentStore,
  createEpochCell,
  createSessionStore,
  createStore,
  createTaskStore,
  type DeploymentStore,
  deploymentLibrary,
  ensureEpoch,
  openRedis,
  type RedisConnections,
  sessionLibrary,
  taskLibrary,
} from "@remex/store";
import { type PrivateRedis, startPrivateRedis } from "@remex/store/testing";
import { connectErrorOf, failureFromConnect, keyDeploymentHeader } from "@remex/transport";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { createManagement, type Management } from "./management.ts";

const failuresToConnect: Interceptor = (next) => async (request) => {
  try {
    return await next(request);
  } catch (error) {
    throw error instanceof RemexError ? connectErrorOf(error.failure, error) : error;
  }
};

const codeOf = async (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "ok",
    (error: unknown) => failureFromConnect(error).code,
  );

let redis: PrivateRedis;
let connections: RedisConnections;
let store: DeploymentStore;
let folder: string;
let records: Records;
let clock: FakeClock;
let management: Management;
let deployments: Client<typeof DeploymentService>;
let queues: Client<typeof QueueService>;
const depths = vi.fn();

beforeAll(async () => {
  redis = await startPrivateRedis();
});

afterAll(async () => {
  await redis.stop();
});

beforeEach(async () => {
  connections = openRedis({ url: redis.url, connectionName: "test" });
  await vi.waitFor(() => connections.commands.ping());
  await connections.commands.flushall();
  const epoch = createEpochCell();
  await ensureEpoch(connections.commands, epoch);
  const libraries = [deploymentLibrary, sessionLibrary, taskLibrary];
  const core = createStore(connections.commands, epoch, libraries);
  store = createDeploymentStore(core);
  folder = await mkdtemp(join(tmpdir(), "remex-management-"));
  records = await openRecords(`sqlite:${join(folder, "records.sqlite")}`);
  clock = createFakeClock();
  const tasks = createTaskStore(core);
  depths.mockReset().mockImplementation(tasks.depths);
  management = createManagement({
    records,
    store,
    tasks: { depths },
    sessions: createSessionStore(core),
    epoch: () => core.epoch.current(),
    clock,
    log: createSilentLogger(),
  });
  const transport = createRouterTransport((router) => management.routes(router), {
    router: { interceptors: [failuresToConnect] },
  });
  deployments = createClient(DeploymentService, transport);
  queues = createClient(QueueService, transport);
});

afterEach(async () => {
  management.stop();
  connections.close();
  await records.close();
  await rm(folder, { recursive: true, force: true });
});

describe("deployments", () => {
  test("a new deployment has its defaults filled in, its queue, and is in effect when answered", async () => {
    const { deployment } = await deployments.createDeployment({ deployment: "default" });
    expect(deployment).toMatchObject({
      deployment: "default",
      displayName: "default",
      revision: 1n,
      settings: { maxSlotCost: 1_000, maxAgentTokens: 50, maxPayloadBytes: 262_144, brake: true },
    });
    expect(await store.load("default")).toMatchObject({
      // It was made in this epoch, so that it has no quarantine (PROTOCOL D2).
      createdEpoch: await connections.commands.get("rmx:global:epoch"),
      heartbeatMs: 10_000,
      leaseMs: 20_000,
      limitMs: 30_000,
      windowMs: 15_000,
      queues: ["default"],
    });
  });

  test("PROTOCOL-T4: the confirm window in effect is never longer than the agent's lease", async () => {
    await deployments.createDeployment({
      deployment: "fast",
      settings: { heartbeatInterval: durationFromMs(1_000), stopTime: durationFromMs(500) },
    });
    expect(await store.load("fast")).toMatchObject({ leaseMs: 2_000, windowMs: 2_000 });
  });

  test("the same create again is the same deployment, another one under its slug is refused", async () => {
    await deployments.createDeployment({ deployment: "default" });
    expect(await codeOf(deployments.createDeployment({ deployment: "default" }))).toBe("ok");
    const other = deployments.createDeployment({ deployment: "default", displayName: "Other" });
    expect(await codeOf(other)).toBe("deployment_exists");
  });

  test("PROTOCOL-T4: impossible durations are refused at create and at change, with the arithmetic", async () => {
    const settings = { heartbeatInterval: durationFromMs(1_000) };
    const created = deployments.createDeployment({ deployment: "default", settings });
    await expect(created).rejects.toThrow(
      "with a heartbeat of 1000 ms the stop time may be at most",
    );
    await deployments.createDeployment({ deployment: "default" });
    const updated = deployments.updateDeployment({ deployment: "default", settings });
    expect(await codeOf(updated)).toBe("durations_impossible");
    expect(await store.load("default")).toMatchObject({ heartbeatMs: 10_000 });
  });

  test("several bad settings are told at once", async () => {
    const settings = { maxSlotCost: 0, maxPayloadBytes: 9_000_000 };
    const call = deployments.createDeployment({ deployment: "default", settings });
    await expect(call).rejects.toThrow(/max_slot_cost, max_payload_bytes/);
  });

  test("PROTOCOL-L4: the brake is on until a setting turns it off", async () => {
    await deployments.createDeployment({ deployment: "default" });
    expect(await store.load("default")).toMatchObject({ brake: "on" });
    await deployments.updateDeployment({ deployment: "default", settings: { brake: false } });
    expect(await store.load("default")).toMatchObject({ brake: "off" });
    await deployments.updateDeployment({ deployment: "default", settings: { maxSlotCost: 7 } });
    expect(await store.load("default")).toMatchObject({ brake: "off" });
  });

  test("PROTOCOL-T4: an interval that cannot work is refused at a change too, with the arithmetic", async () => {
    await deployments.createDeployment({ deployment: "default" });
    const call = deployments.updateDeployment({
      deployment: "default",
      settings: { heartbeatInterval: durationFromMs(5_000) },
    });
    await expect(call).rejects.toThrow(
      "agent lease 10000 ms * 1.05 + stop time 6000 ms = 16500 ms must be less than server limit 15000 ms * 0.95",
    );
    expect(await store.load("default")).toMatchObject({ heartbeatMs: 10_000, intervalVersion: 1 });
  });

  test("PROTOCOL-T4: an update changes what it names; a new interval has a new version", async () => {
    await deployments.createDeployment({ deployment: "default", displayName: "Main" });
    const { deployment } = await deployments.updateDeployment({
      deployment: "default",
      settings: { heartbeatInterval: durationFromMs(20_000), airflowApiUrl: "http://airflow:8080" },
      revision: 1n,
    });
    expect(deployment).toMatchObject({ displayName: "Main", revision: 2n });
    expect(await store.load("default")).toMatchObject({
      heartbeatMs: 20_000,
      intervalVersion: 2,
      airflowApiUrl: "http://airflow:8080",
    });
    await deployments.updateDeployment({ deployment: "default", settings: { airflowApiUrl: "" } });
    expect(await store.load("default")).toMatchObject({ airflowApiUrl: "", intervalVersion: 2 });
  });

  test("an update that has not seen the newest revision is refused", async () => {
    await deployments.createDeployment({ deployment: "default" });
    const update = (revision: bigint, maxSlotCost: number) =>
      codeOf(
        deployments.updateDeployment({
          deployment: "default",
          settings: { maxSlotCost },
          revision,
        }),
      );
    expect(await update(1n, 10)).toBe("ok");
    expect(await update(1n, 20)).toBe("revision_stale");
    const unknown = deployments.updateDeployment({ deployment: "nobody" });
    expect(await codeOf(unknown)).toBe("deployment_unknown");
  });

  test("lists page by slug, and a key that is bound to one deployment sees that one", async () => {
    for (const deployment of ["b", "a", "c"]) await deployments.createDeployment({ deployment });
    const first = await deployments.listDeployments({ pageSize: 2 });
    expect(first.deployments.map((each) => each.deployment)).toEqual(["a", "b"]);
    const rest = await deployments.listDeployments({ pageToken: first.nextPageToken });
    expect(rest.deployments.map((each) => each.deployment)).toEqual(["c"]);
    const bound = await deployments.listDeployments(
      {},
      { headers: { [keyDeploymentHeader]: "b" } },
    );
    expect(bound.deployments.map((each) => each.deployment)).toEqual(["b"]);
    expect(await codeOf(deployments.listDeployments({ pageToken: "§" }))).toBe("cursor_invalid");
  });

  test("PROTOCOL-D6: while Redis is away a change is recorded, and in effect with the sweep after", async () => {
    await deployments.createDeployment({ deployment: "default" });
    await redis.kill();
    await vi.waitFor(() => expect(connections.commands.status).not.toBe("ready"));
    const update = { deployment: "default", settings: { maxSlotCost: 7 } };
    expect(await codeOf(deployments.updateDeployment(update))).toBe("recorded_not_in_effect");
    expect((await deployments.getDeployment(update)).deployment?.settings?.maxSlotCost).toBe(7);
    management.start();
    await vi.waitFor(() => expect(management.problems()).toHaveLength(1));
    await redis.start();
    await vi.waitFor(() => connections.commands.ping());
    await clock.advance(5_000);
    await vi.waitFor(async () => {
      expect(await store.load("default")).toMatchObject({ maxSlotCost: 7 });
    });
    await vi.waitFor(() => expect(management.problems()).toEqual([]));
    expect(await codeOf(deployments.updateDeployment(update))).toBe("ok");
  });

  test("R32: a sweep puts everything back into a wiped Redis", async () => {
    await deployments.createDeployment({ deployment: "default" });
    await queues.createQueue({ deployment: "default", queue: "gpu" });
    const before = await store.load("default");
    await connections.commands.del("rmx:{default}:config", "rmx:global:deployments");
    await connections.commands.call("FUNCTION", "FLUSH");
    await management.sweep();
    expect(await store.load("default")).toEqual(before);
    expect(await store.list()).toEqual(["default"]);
  });
});

describe("queues", () => {
  beforeEach(async () => {
    await deployments.createDeployment({ deployment: "default" });
  });

  const create = (queue: string, deployment = "default", description = "") =>
    codeOf(queues.createQueue({ deployment, queue, description }));
  const remove = (queue: string, deployment = "default") =>
    codeOf(queues.deleteQueue({ deployment, queue }));

  test("R3: a created queue is in effect, listed with its depth and its agents", async () => {
    expect(await create("gpu", "default", "big machines")).toBe("ok");
    expect((await store.load("default"))?.queues).toEqual(["default", "gpu"]);
    const listed = await queues.listQueues({ deployment: "default" });
    expect(listed.queues).toMatchObject([
      { queue: "default", queuedTasks: 0n, agents: 0 },
      { queue: "gpu", description: "big machines", queuedTasks: 0n, agents: 0 },
    ]);
  });

  test("bad names, long descriptions, a second of its name and a foreign deployment are refused", async () => {
    expect(await create("a b")).toBe("queue_name_invalid");
    expect(await create("x".repeat(64))).toBe("queue_name_invalid");
    expect(await create("gpu", "default", "x".repeat(257))).toBe("argument_invalid");
    expect(await create("gpu")).toBe("ok");
    expect(await create("gpu")).toBe("queue_exists");
    expect(await create("gpu", "nobody")).toBe("deployment_unknown");
    expect(await codeOf(queues.listQueues({ deployment: "nobody" }))).toBe("deployment_unknown");
  });

  test("a queue with waiting tasks stays, an empty one goes, default never", async () => {
    await create("gpu");
    depths.mockResolvedValueOnce({ kind: "depths", lanes: new Map([["gpu", 3]]) });
    expect(await remove("gpu")).toBe("queue_not_empty");
    expect((await store.load("default"))?.queues).toEqual(["default", "gpu"]);
    expect(await remove("gpu")).toBe("ok");
    expect((await store.load("default"))?.queues).toEqual(["default"]);
    expect(await remove("gpu")).toBe("queue_unknown");
    expect(await remove("default")).toBe("queue_is_default");
    expect(await remove("gpu", "nobody")).toBe("deployment_unknown");
  });

  test("a task that comes while a queue is deleted brings the queue back", async () => {
    await create("gpu", "default", "big machines");
    depths
      .mockResolvedValueOnce({ kind: "depths", lanes: new Map() })
      .mockResolvedValueOnce({ kind: "depths", lanes: new Map([["gpu", 1]]) });
    expect(await remove("gpu")).toBe("queue_not_empty");
    expect((await store.load("default"))?.queues).toEqual(["default", "gpu"]);
  });

  test("while Redis is away queues are listed without their load, and none is deleted", async () => {
    await create("gpu");
    await redis.kill();
    await vi.waitFor(() => expect(connections.commands.status).not.toBe("ready"));
    const listed = await queues.listQueues({ deployment: "default" });
    expect(listed.queues.map((queue) => [queue.queue, queue.queuedTasks])).toEqual([
      ["default", undefined],
      ["gpu", undefined],
    ]);
    expect(await remove("gpu")).toBe("store_unavailable");
    expect(await create("cpu")).toBe("recorded_not_in_effect");
    await redis.start();
    await vi.waitFor(() => connections.commands.ping());
    expect(await create("cpu"), "the repeat is no second create").toBe("ok");
  });
});
