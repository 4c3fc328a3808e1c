// SPDX-License-Identifier: Apache-2.0
// Kill -9 of each service, of agents, of runners, and of Redis, at random instants under load.

import type { RoleProcess } from "../../kit/control-plane.ts";
import { harmFor, type Report, type Scenario, type ScenarioContext, sleepMs } from "../scenario.ts";
import type { Part } from "../site.ts";
import { quickLimitMs, startWorld, type World } from "../world.ts";

const load = 24;
const healMs = 2 * quickLimitMs + 60_000;

async function underKills(
  context: ScenarioContext,
  harm: (world: World, count: (kind: string) => void) => Promise<void>,
): Promise<Report> {
  await using world = await startWorld({
    agents: 4,
    taskSeconds: () => context.chance.between(0.2, 2),
  });
  const counts: Record<string, number> = {};
  const count = (kind: string): void => {
    counts[kind] = (counts[kind] ?? 0) + 1;
    context.say(`killed ${kind}`);
  };
  await world.load(
    harmFor(context, [500, 3_000], () => harm(world, count)),
    load,
  );
  return { judgement: await world.judge(healMs), harm: counts };
}

async function killService(process: RoleProcess, downMs: number): Promise<void> {
  process.process().signal("SIGKILL");
  await process.process().ended;
  await sleepMs(downMs);
  await process.restart();
}

export const killServices: Scenario = {
  name: "kill-services",
  about: "kill -9 of every service in turn by chance, each started again after up to 3 s",
  run: (context) =>
    underKills(context, async (world, count) => {
      const process = context.chance.pick(world.plane.processes);
      await killService(process, context.chance.between(0, 3_000));
      count(process.roles.join("+"));
    }),
};

export const killAgents: Scenario = {
  name: "kill-agents",
  about:
    "kill -9 of an agent, of its runner, or of everything on its host, started again after up to 10 s",
  run: (context) =>
    underKills(context, async (world, count) => {
      const agent = context.chance.pick(world.agents);
      const part = context.chance.pick<Part>(["agent", "runner", "host"]);
      if (agent.signal(part, "SIGKILL") > 0) count(part);
      await sleepMs(context.chance.between(0, 10_000));
      if (agent.pids("agent").length === 0) agent.start();
    }),
};

export const killRedis: Scenario = {
  name: "kill-redis",
  about: "kill -9 of Redis with appendfsync always, started again over its data after up to 3 s",
  run: (context) =>
    underKills(context, async (world, count) => {
      await world.plane.redis.kill();
      count("redis");
      await sleepMs(context.chance.between(0, 3_000));
      await world.plane.redis.start();
    }),
};

export const killEverything: Scenario = {
  name: "kill-everything",
  about: "kill -9 of any process of all by chance: services, Redis, agents, runners",
  run: (context) =>
    underKills(context, async (world, count) => {
      const victim = context.chance.pick(["service", "service", "agent", "runner", "redis"]);
      if (victim === "service") {
        const process = context.chance.pick(world.plane.processes);
        await killService(process, context.chance.between(0, 2_000));
        count(process.roles.join("+"));
      } else if (victim === "redis") {
        await world.plane.redis.restart();
        count("redis");
      } else {
        const agent = context.chance.pick(world.agents);
        if (agent.signal(victim as Part, "SIGKILL") > 0) count(victim);
        await sleepMs(context.chance.between(0, 3_000));
        if (agent.pids("agent").length === 0) agent.start();
      }
    }),
};
