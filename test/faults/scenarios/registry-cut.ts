// SPDX-License-Identifier: Apache-2.0
// One registry loses its way to every monitor while the monitors live and serve the other registry.

import type { RoleProcess } from "../../kit/control-plane.ts";
import { type Report, type Scenario, type ScenarioContext, sleepMs } from "../scenario.ts";
import { localPortsOf } from "../socket-owner.ts";
import { startTcpProxy } from "../tcp-proxy.ts";
import { quickLimitMs, startWorld, twoOfEach, type World } from "../world.ts";

const healMs = 2 * quickLimitMs + 60_000;
const lookEveryMs = 500;

/** What a load balancer in front of the registries does: only those that say that they are ready. */
async function followReadiness(world: World, registries: readonly RoleProcess[]): Promise<number> {
  const ready: number[] = [];
  for (const registry of registries) {
    const answer = await fetch(`${registry.metricsUrl}/readyz`).catch(() => undefined);
    if (answer?.status === 200) ready.push(Number(registry.agentsTarget.split(":").at(-1)));
  }
  for (const network of world.networks) network.setTargets(ready);
  return ready.length;
}

export const registryCut: Scenario = {
  name: "registry-cut",
  about:
    "one registry is cut from every monitor for several limits; its agents must come through the other",
  run: async (context: ScenarioContext): Promise<Report> => {
    const doors = [await startTcpProxy([]), await startTcpProxy([])];
    const free = [...doors];
    await using world = await startWorld({
      agents: 4,
      taskSeconds: () => context.chance.between(1, 4),
      layout: {
        ...twoOfEach,
        args: (roles, internalPort) => {
          if (!roles.includes("health-monitor")) return [];
          const door = free.shift();
          if (door === undefined) throw new Error("there are more monitors than doors");
          door.setTargets([internalPort]);
          return ["--internal-advertise", `127.0.0.1:${door.port}`];
        },
      },
    });
    const registries = world.plane.processes.filter(({ roles }) => roles.includes("registry"));
    const victim = registries[0];
    if (victim === undefined) throw new Error("there is no registry");
    let unready = 0;
    await world.load(
      (async () => {
        await sleepMs(3_000);
        const ports = localPortsOf(victim.process().pid);
        for (const door of doors) {
          door.setVictims(
            (port) => ports.has(port) || localPortsOf(victim.process().pid).has(port),
          );
          door.setWeather("cut");
        }
        context.say("one registry is cut from the monitors");
        const until = performance.now() + Math.max(4 * quickLimitMs, context.seconds * 1_000);
        while (performance.now() < until) {
          if ((await followReadiness(world, registries)) < registries.length) unready += 1;
          await sleepMs(lookEveryMs);
        }
        for (const door of doors) door.setWeather("fair");
        await sleepMs(quickLimitMs);
        await followReadiness(world, registries);
      })(),
      16,
    );
    const held = doors.reduce((sum, { harm }) => sum + harm.held, 0);
    const lost = world.recorder.changes.filter(({ reason }) => reason === "lease_expired");
    const judgement = await world.judge(healMs);
    for (const door of doors) await door[Symbol.asyncDispose]();
    return {
      judgement,
      harm: { held },
      figures: { attemptsLostToAge: lost.length, looksWithAnUnreadyRegistry: unready },
      broken: [
        ...(lost.length > 0 ? [`I5: ${lost.length} attempts were lost to age`] : []),
        ...(unready > 0 ? [] : ["L5: the registry never failed its readiness"]),
      ],
    };
  },
};
