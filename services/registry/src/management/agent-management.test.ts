// SPDX-License-Identifier: Apache-2.0
// Operators' calls about agents, groups and brakes, on real records and a real Redis.

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { lostAfterNeverMs } from "@remex/domain";
import { Availability } from "@remex/proto/agent/v1";
import { OnCut } from "@remex/proto/common/v1";
import { type PrivateRedis, startPrivateRedis } from "@remex/store/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { codeOf, deployment, startManagementWorld } from "./management-test-kit.ts";

let redis: PrivateRedis;
let world: Awaited<ReturnType<typeof startManagementWorld>>;
/** Called before each read of an agent: what happens meanwhile. */
let onRead: () => Promise<void>;
/** Called before decisions are put into effect. */
let onProject: () => void;

beforeAll(async () => {
  redis = await startPrivateRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  onRead = async () => undefined;
  onProject = () => undefined;
  world = await startManagementWorld(redis, (sessions) => ({
    ...sessions,
    get: async (...args) => {
      await onRead();
      return sessions.get(...args);
    },
    projectControls: async (...args) => {
      onProject();
      return sessions.projectControls(...args);
    },
  }));
});
afterEach(() => world.stop());

const named = { deployment, agent: "a" };
const stored = async () => {
  const record = await world.sessions.load(deployment, "a");
  return [record?.availability, record?.state, record?.reason];
};
const control = async () => (await world.records.agentControls.load(deployment, "a"))?.control;
const redisAway = async () => {
  await redis.kill();
  await vi.waitFor(() => expect(world.connections.commands.status).not.toBe("ready"));
};
/** The answer of a call that waits for the clock. */
const whileTimePasses = async (call: Promise<string>): Promise<string> => {
  let answer: string | undefined;
  call.then((text) => {
    answer = text;
  });
  return vi.waitFor(
    async () => {
      await world.clock.advance(100);
      if (answer === undefined) throw new Error("no answer yet");
      return answer;
    },
    { timeout: 15_000, interval: 5 },
  );
};
const redisBack = async () => {
  await redis.start();
  await vi.waitFor(() => world.connections.commands.ping());
};

describe("cordon and drain", () => {
  test("R25 PROTOCOL-O1: are in effect when they are answered, safe to repeat, and undone", async () => {
    await world.open("a");
    const asked = { ...named, note: "disk" };
    for (const _again of [1, 2]) {
      expect((await world.agents.cordonAgent(asked)).agent).toMatchObject({
        ...{ availability: Availability.CORDONED, availabilityNote: "disk" },
      });
    }
    expect(await stored()).toEqual(["CORDONED", "OPEN", ""]);
    const { agent } = await world.agents.drainAgent({ ...named, deadline: durationFromMs(60_000) });
    expect(agent?.availability).toBe(Availability.DRAINING);
    expect(Number(agent?.drainRemaining?.seconds)).toBeGreaterThan(50);
    const uncordoned = await world.agents.uncordonAgent(named);
    expect(uncordoned.agent).toMatchObject({ availability: Availability.SCHEDULABLE });
    expect(uncordoned.agent?.drainRemaining).toBeUndefined();
  });

  test("PROTOCOL-D6 R25: while Redis is away the record is written and answered so, and in effect with the sweep", async () => {
    await world.open("a");
    await redisAway();
    expect(await codeOf(world.agents.cordonAgent(named))).toBe("recorded_not_in_effect");
    expect(await control()).toMatchObject({ kind: "cordoned" });
    const deadline = durationFromMs(1_000);
    expect(await codeOf(world.agents.drainAgent({ ...named, deadline }))).toBe("store_unavailable");
    expect(await codeOf(world.agents.deleteAgent(named))).toBe("store_unavailable");
    await redisBack();
    await world.management.sweep();
    expect(await stored()).toMatchObject(["CORDONED", "OPEN", ""]);
    expect(await codeOf(world.agents.cordonAgent(named))).toBe("ok");
  });

  test("PROTOCOL-D2: the configuration waits for the operators' decisions", async () => {
    await world.open("a");
    await world.agents.cordonAgent(named);
    // All of the deployment is lost, and the first try to bring its decisions back fails.
    const { commands } = world.connections;
    await commands.del(await commands.keys(`rmx:{${deployment}}:*`));
    onProject = () => {
      throw new Error("not now");
    };
    await expect(world.management.sweep()).rejects.toThrow("not now");
    await expect(world.open("a")).rejects.toThrow("not_projected");
    onProject = () => undefined;
    await world.management.sweep();
    await world.open("a");
    expect(await stored()).toEqual(["CORDONED", "OPEN", ""]);
  });

  test("names that nobody knows, notes and deadlines that cannot be are refused", async () => {
    expect(await codeOf(world.agents.cordonAgent(named))).toBe("agent_unknown");
    expect(await codeOf(world.agents.restoreAgent(named))).toBe("agent_unknown");
    expect(await codeOf(world.agents.giveUpAgent(named))).toBe("agent_unknown");
    expect(await codeOf(world.agents.cordonAgent({ deployment, agent: "A b" }))).toBe(
      "agent_name_invalid",
    );
    await world.open("a");
    const note = "x".repeat(257);
    expect(await codeOf(world.agents.cordonAgent({ ...named, note }))).toBe("argument_invalid");
    const deadline = durationFromMs(31 * 24 * 3_600_000);
    expect(await codeOf(world.agents.drainAgent({ ...named, deadline }))).toBe("argument_invalid");
  });
});

describe("delete", () => {
  test("PROTOCOL-O3 R26: an idle agent's session ends, its process and its name are refused, and the repeat changes nothing", async () => {
    await world.open("a");
    const first = await world.agents.deleteAgent(named);
    expect(await stored()).toEqual(["DELETED", "ENDING", "deleted"]);
    await expect(world.open("a")).rejects.toThrow('"buried":true');
    await expect(world.open("a", { instance: "bb".repeat(16) })).rejects.toThrow('"buried":false');
    expect((await world.agents.deleteAgent(named)).nameFreeAt).toEqual(first.nameFreeAt);
    expect(await codeOf(world.agents.cordonAgent(named))).toBe("agent_deleted");
    await world.agents.restoreAgent(named);
    await world.agents.restoreAgent(named);
    await expect(world.open("a")).rejects.toThrow('"buried":true');
  });

  test("PROTOCOL-O3: work on a living agent is not touched without force", async () => {
    await world.open("a");
    await world.hold("a", "t_1", "t_2");
    expect(await codeOf(world.agents.deleteAgent(named))).toBe("agent_busy");
    expect(await codeOf(world.agents.deleteAgent({ ...named, gone: true }))).toBe("agent_busy");
    expect(await stored()).toEqual(["SCHEDULABLE", "OPEN", ""]);
    expect(await world.agents.deleteAgent({ ...named, force: true })).toMatchObject({
      tasksGivenUp: 2,
    });
    expect(await stored()).toEqual(["DELETED", "ENDING", "deleted"]);
  });

  test("PROTOCOL-O3: work that came between the looks refuses the delete, and what was is put back", async () => {
    await world.open("a");
    await world.agents.cordonAgent({ ...named, note: "mine" });
    let reads = 0;
    onRead = async () => {
      reads += 1;
      if (reads === 2) await world.hold("a", "t_1");
    };
    expect(await whileTimePasses(codeOf(world.agents.deleteAgent(named)))).toBe("agent_busy");
    expect(await control()).toEqual({ kind: "cordoned", note: "mine" });
    expect(await stored()).toEqual(["CORDONED", "OPEN", ""]);
  });

  test("PROTOCOL-O1 PROTOCOL-O3: offers that the cordon takes back do not refuse it", async () => {
    await world.open("a");
    let reads = 0;
    onRead = async () => {
      reads += 1;
      if (reads === 2) await world.hold("a", "t_1");
      if (reads === 4) await world.hold("a");
    };
    expect(await whileTimePasses(codeOf(world.agents.deleteAgent(named)))).toBe("ok");
    expect(await stored()).toEqual(["DELETED", "ENDING", "deleted"]);
  });

  test("PROTOCOL-L8: a living agent is not gone, whoever says so", async () => {
    await world.open("a");
    expect(await codeOf(world.agents.giveUpAgent(named))).toBe("agent_not_gone");
  });
});

describe("groups", () => {
  const west = { deployment, group: "west" };
  const list = async () => (await world.groups.listGroups({ deployment })).groups;

  test("PROTOCOL-O1: cordon those that are there and those that come, and are listed with their agents", async () => {
    await world.open("a", { group: "west" });
    expect((await world.groups.cordonGroup({ ...west, note: "move" })).group).toMatchObject({
      ...{ group: "west", cordoned: true, note: "move", agents: 1 },
    });
    expect(await stored()).toEqual(["CORDONED", "OPEN", ""]);
    await world.open("b", { group: "west", instance: "bb".repeat(16) });
    await world.open("c", { instance: "cc".repeat(16) });
    expect((await list()).map(({ group, agents }) => [group, agents])).toEqual([
      ["default", 1],
      ["west", 2],
    ]);
    await world.groups.uncordonGroup(west);
    expect(await stored()).toEqual(["SCHEDULABLE", "OPEN", ""]);
  });

  test("PROTOCOL-H1: state policies over the deployment, and leave them to it again", async () => {
    await world.open("a", { group: "west" });
    const policy = async () => {
      const record = await world.sessions.load(deployment, "a");
      return [record?.onCut, record?.lostAfterMs];
    };
    const lostAfter = durationFromMs(lostAfterNeverMs);
    await world.groups.updateGroup({ ...west, onCut: OnCut.ABORT, lostAfter });
    expect(await policy()).toEqual(["ABORT", lostAfterNeverMs]);
    await world.groups.updateGroup({ ...west, onCut: OnCut.UNSPECIFIED });
    expect(await policy()).toEqual([undefined, lostAfterNeverMs]);
    await world.groups.updateGroup({ ...west, inheritLostAfter: true });
    expect(await policy()).toEqual([undefined, undefined]);
    expect(await list()).toMatchObject([{ group: "west", onCut: OnCut.UNSPECIFIED }]);
  });

  test("what cannot be is refused", async () => {
    const update = (change: object) => codeOf(world.groups.updateGroup({ ...west, ...change }));
    expect(await update({ lostAfter: durationFromMs(-1) })).toBe("argument_invalid");
    const lostAfter = durationFromMs(1);
    expect(await update({ lostAfter, inheritLostAfter: true })).toBe("argument_invalid");
    expect(await update({ group: "no group" })).toBe("group_name_invalid");
    expect(await update({ deployment: "none" })).toBe("deployment_unknown");
  });
});

describe("brakes", () => {
  test("PROTOCOL-L4: those that hold nobody cannot be released or extended", async () => {
    expect(await world.brakes.listBrakes({ deployment })).toMatchObject({ brakes: [] });
    expect(await codeOf(world.brakes.releaseBrake({ deployment }))).toBe("brake_not_engaged");
    const extend = (ms: number) =>
      codeOf(world.brakes.extendBrake({ deployment, by: durationFromMs(ms) }));
    expect(await extend(60_000)).toBe("brake_not_engaged");
    expect(await extend(999)).toBe("argument_invalid");
    expect(await codeOf(world.brakes.listBrakes({ deployment: "none" }))).toBe(
      "deployment_unknown",
    );
  });
});
