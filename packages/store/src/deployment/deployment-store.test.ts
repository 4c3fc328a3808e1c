// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createEpochCell, type EpochCell } from "../core/epoch-cell.ts";
import { configKey, globalKeys } from "../core/keys.ts";
import { openRedis, type RedisConnections } from "../core/redis.ts";
import { createStore } from "../core/store.ts";
import { ensureEpoch } from "../epoch/epoch-store.ts";
import { type PrivateRedis, startPrivateRedis } from "../testing/private-redis.ts";
import {
  createDeploymentStore,
  type DeploymentConfig,
  type DeploymentStore,
  deploymentLibrary,
} from "./deployment-store.ts";

const config: DeploymentConfig = {
  deployment: "default",
  revision: 3,
  heartbeatMs: 10_000,
  stopMs: 6_000,
  windowMs: 15_000,
  leaseMs: 20_000,
  limitMs: 30_000,
  intervalVersion: 1,
  onCut: "CONTINUE",
  lostAfterMs: 0,
  brake: "on",
  maxSlotCost: 1_000,
  maxPayloadBytes: 262_144,
  maxQueued: 1_000_000,
  retentionMs: 86_400_000,
  maxEnded: 100_000,
  airflowApiUrl: "",
  queues: ["default", "gpu"],
};

describe("the projection of deployments", () => {
  let server: PrivateRedis;
  let connections: RedisConnections;
  let epoch: EpochCell;
  let deployments: DeploymentStore;

  beforeAll(async () => {
    server = await startPrivateRedis();
    connections = openRedis({ url: server.url, connectionName: "test" });
    await new Promise((resolve) => connections.commands.once("ready", resolve));
  });
  beforeEach(async () => {
    await connections.commands.flushall();
    epoch = createEpochCell();
    epoch.set("1000");
    await connections.commands.set(globalKeys.epoch, "1000");
    deployments = createDeploymentStore(
      createStore(connections.commands, epoch, [deploymentLibrary]),
    );
  });
  afterAll(async () => {
    connections.close();
    await server.stop();
  });

  test("what was projected is read back, with its epoch, and the deployment is listed", async () => {
    expect(await deployments.load("default")).toBeUndefined();
    expect(await deployments.project(config)).toBe("projected");
    expect(await deployments.load("default")).toEqual({ ...config, epoch: "1000" });
    expect(await deployments.list()).toEqual(["default"]);
  });

  test("PROTOCOL-D6: only a higher revision is taken, and repeating is harmless", async () => {
    await deployments.project(config);
    expect(await deployments.project(config)).toBe("current");
    expect(await deployments.project({ ...config, revision: 2, maxSlotCost: 5 })).toBe("current");
    expect(await deployments.load("default")).toMatchObject({ revision: 3, maxSlotCost: 1_000 });
    expect(await deployments.project({ ...config, revision: 4, maxSlotCost: 5 })).toBe("projected");
    expect(await deployments.load("default")).toMatchObject({ revision: 4, maxSlotCost: 5 });
  });

  test("PROTOCOL-D2: a new epoch takes the same revision again, an older epoch is refused", async () => {
    await deployments.project(config);
    epoch.set("2000");
    await connections.commands.set(globalKeys.epoch, "2000");
    expect(await deployments.project(config)).toBe("projected");
    expect(await connections.commands.hget(configKey("default"), "epoch")).toBe("2000");
    epoch.set("1500");
    expect(await deployments.project({ ...config, revision: 9 })).toBe("epoch_stale");
  });

  test("PROTOCOL-I9, R32: a wiped Redis takes no projection in the old epoch, and takes it in the next one", async () => {
    await deployments.project(config);
    await connections.commands.flushall();
    await connections.commands.call("FUNCTION", "FLUSH");
    expect(await deployments.project(config)).toBe("epoch_stale");
    expect(await deployments.load("default")).toBeUndefined();
    const next = await ensureEpoch(connections.commands, epoch);
    expect(Number(next)).toBeGreaterThan(1_000);
    expect(await deployments.project(config)).toBe("projected");
    expect(await deployments.load("default")).toEqual({ ...config, epoch: next });
  });
});
