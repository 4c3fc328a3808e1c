// SPDX-License-Identifier: Apache-2.0
// A site of one agent is cut off with the intervals of an ordinary deployment, and keeps its running work (H1).

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Report, type Scenario, type ScenarioContext, sleepMs } from "../scenario.ts";
import { startWorld } from "../world.ts";

const lostAfterMs = 300_000;
const ordinaryLimitMs = 30_000;
const tasks = 4;

function siteCut(seconds: number): Scenario {
  return {
    name: `site-cut-${seconds}`,
    about: `a site of one agent is cut for ${seconds} s, H 10 s, lost_after 300 s: nothing is lost or run again`,
    run: async (context: ScenarioContext): Promise<Report> => {
      await using world = await startWorld({
        agents: 1,
        slots: tasks,
        settings: { lostAfter: durationFromMs(lostAfterMs) },
        // Half of them end during the cut, half after it.
        taskSeconds: (number) => (number % 2 === 0 ? seconds / 2 : seconds + 20),
      });
      const [network] = world.networks;
      if (network === undefined) throw new Error("there is no network");
      let submitted = 0;
      await world.load(
        (async () => {
          while (world.recorder.changes.filter(({ stage }) => stage === "STARTED").length < tasks) {
            await sleepMs(100);
          }
          submitted = tasks;
          network.setWeather("cut");
          context.say(`cut for ${seconds} s`);
          await sleepMs(seconds * 1_000);
          network.setWeather("fair");
        })(),
        tasks,
      );
      const judgement = await world.judge(2 * ordinaryLimitMs + 60_000 + seconds * 1_000);
      const again = judgement.figures.attemptsStarted - judgement.figures.tasks;
      return {
        judgement,
        harm: { held: network.harm.held, tasksCut: submitted },
        figures: { runAgain: again },
        broken: again === 0 ? [] : [`R31: ${again} tasks were run again within lost_after`],
      };
    },
  };
}

export const siteCut31 = siteCut(31);
export const siteCut240 = siteCut(240);
