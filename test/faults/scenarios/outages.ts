// SPDX-License-Identifier: Apache-2.0
// The control plane is away for longer than every limit, under many sessions: nobody fails for it, all come back.

import { AgentHealth } from "@remex/proto/health/v1";
import type { ControlPlane } from "../../kit/control-plane.ts";
import { waitFor } from "../../kit/wait.ts";
import { cpuMs } from "../../load/cpu-time.ts";
import { startCrowd } from "../crowd.ts";
import { type Report, type Scenario, type ScenarioContext, sleepMs } from "../scenario.ts";
import { quick, quickLimitMs, startWorld, twoOfEach } from "../world.ts";

const lookEveryMs = 200;

/** Kills every process of the control plane, Redis excepted, and starts all of them again after `awayMs`. */
async function takeAway(plane: ControlPlane, awayMs: number): Promise<void> {
  for (const each of plane.processes) each.process().signal("SIGKILL");
  await Promise.all(plane.processes.map((each) => each.process().ended));
  await sleepMs(awayMs);
  await Promise.all(plane.processes.map((each) => each.restart()));
}

function outageOf(sessions: number, awayMs: number, settings: typeof quick | object): Scenario {
  return {
    name: `outage-${sessions}`,
    about: `the control plane is killed and away for ${awayMs / 1_000} s under ${sessions} sessions and running tasks`,
    run: async (context: ScenarioContext): Promise<Report> => {
      await using world = await startWorld({
        agents: 2,
        settings,
        layout: twoOfEach,
        taskSeconds: () => context.chance.between(1, 5),
      });
      const port = world.networks[0]?.port ?? 0;
      await using crowd = await startCrowd(
        sessions,
        port,
        await world.operator.createToken("crowd"),
      );
      const all = sessions + world.agents.length;
      await waitFor(async () => (await crowd.count()).leased === sessions, {
        what: "a lease of every session",
        timeoutMs: 120_000,
      });
      let away = false;
      let peak = 0;
      let backMs = 0;
      await world.load(
        (async () => {
          await sleepMs(5_000);
          away = true;
          await takeAway(world.plane, awayMs);
          away = false;
          const startedAt = performance.now();
          const pids = () => world.plane.processes.map((each) => each.process().pid);
          let before = cpuMs(pids());
          for (;;) {
            await sleepMs(lookEveryMs);
            const now = cpuMs(pids());
            peak = Math.max(peak, (now - before) / lookEveryMs);
            before = now;
            const { leased } = await crowd.count();
            if (leased === sessions) break;
            if (performance.now() - startedAt > 180_000) break;
          }
          backMs = performance.now() - startedAt;
          await sleepMs(quickLimitMs);
        })(),
        8,
      );
      context.say(`all back after ${Math.round(backMs)} ms; away is ${away}`);
      const failed: string[] = [];
      for (let pageToken = ""; ; ) {
        const page = await world.operator.agents.listAgents({ deployment: "faults", pageToken });
        for (const agent of page.agents) {
          if (agent.health === AgentHealth.FAILED) failed.push(agent.agent);
        }
        pageToken = page.nextPageToken;
        if (pageToken === "") break;
      }
      const lostToAge = world.recorder.changes.filter(({ reason }) => reason === "lease_expired");
      const { leased } = await crowd.count();
      return {
        judgement: await world.judge(2 * quickLimitMs + 60_000),
        harm: { outages: backMs > 0 ? 1 : 0 },
        figures: {
          sessions: all,
          agentsFailed: failed.length,
          attemptsLostToAge: lostToAge.length,
          reconnectSeconds: Math.round(backMs / 100) / 10,
          peakCoresOfControlPlane: Math.round(peak * 10) / 10,
        },
        broken: [
          ...(failed.length > 0 ? [`R24: failed by an outage: ${failed.join(", ")}`] : []),
          ...(lostToAge.length > 0 ? [`I5: ${lostToAge.length} attempts were lost to age`] : []),
          ...(leased === sessions ? [] : [`${sessions - leased} sessions did not come back`]),
        ],
      };
    },
  };
}

export const outage200 = outageOf(200, 60_000, quick);
export const outage1000 = outageOf(1_000, 30_000, {});
