// SPDX-License-Identifier: Apache-2.0
// SIGSTOP of agents and runners for longer than their lease and the server's limit, then SIGCONT.

import { OnCut } from "@remex/proto/common/v1";
import { harmFor, type Scenario, type ScenarioContext, sleepMs } from "../scenario.ts";
import type { Part } from "../site.ts";
import { quick, quickLimitMs, startWorld } from "../world.ts";

const load = 16;

function pauseOf(part: Part, onCut: "CONTINUE" | "ABORT"): Scenario {
  return {
    name: `pause-${part}-${onCut.toLowerCase()}`,
    about: `SIGSTOP of the ${part} for longer than AL and SL under ${onCut}`,
    run: async (context: ScenarioContext) => {
      await using world = await startWorld({
        agents: 3,
        onCut,
        settings: { ...quick, onCut: OnCut[onCut] },
        taskSeconds: () => context.chance.between(1, 6),
      });
      let paused = 0;
      await world.load(
        harmFor(context, [500, 2_000], async () => {
          const agent = context.chance.pick(world.agents);
          const stopped = agent.signal(part, "SIGSTOP");
          if (stopped > 0) paused += 1;
          context.say(`paused the ${part} of ${agent.name}`);
          await sleepMs(context.chance.between(0.5, 2) * quickLimitMs);
          agent.signal(part, "SIGCONT");
        }),
        load,
      );
      return {
        judgement: await world.judge(2 * quickLimitMs + 60_000),
        harm: { [`paused ${part}`]: paused },
      };
    },
  };
}

export const pauseAgent = pauseOf("agent", "CONTINUE");
export const pauseAgentAbort = pauseOf("agent", "ABORT");
export const pauseRunner = pauseOf("runner", "CONTINUE");
