// SPDX-License-Identifier: Apache-2.0
// Networks that fail: cut whole or in one direction, for less than the lease and for more than the limit.

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { OnCut } from "@remex/proto/common/v1";
import { harmFor, type Scenario, sleepMs } from "../scenario.ts";
import type { Weather } from "../tcp-proxy.ts";
import { quick, quickLimitMs, startWorld } from "../world.ts";

const load = 16;

function partitions(onCut: "CONTINUE" | "ABORT", lostAfterSeconds: number): Scenario {
  const held = lostAfterSeconds > 0 ? `-held` : "";
  return {
    name: `partitions-${onCut.toLowerCase()}${held}`,
    about: `networks of agents cut by chance, one way too, under ${onCut}, lost_after ${lostAfterSeconds} s`,
    run: async (context) => {
      await using world = await startWorld({
        agents: 3,
        onCut,
        settings: {
          ...quick,
          onCut: OnCut[onCut],
          lostAfter: durationFromMs(lostAfterSeconds * 1_000),
        },
        taskSeconds: () => context.chance.between(1, 8),
      });
      const weathers: readonly Weather[] = ["cut", "cutToTarget", "cutToClient", "refuse"];
      await world.load(
        harmFor(context, [500, 3_000], async () => {
          const network = context.chance.pick(world.networks);
          const weather = context.chance.pick(weathers);
          context.say(`network ${world.networks.indexOf(network)} is ${weather}`);
          network.setWeather(weather);
          if (weather === "refuse") network.cutConnections();
          await sleepMs(context.chance.between(0.2, 2.5) * quickLimitMs);
          network.setWeather("fair");
        }),
        load,
      );
      const total = (kind: "held" | "refused" | "cut") =>
        world.networks.reduce((sum, { harm }) => sum + harm[kind], 0);
      return {
        judgement: await world.judge(2 * quickLimitMs + 60_000 + lostAfterSeconds * 1_000),
        harm: { held: total("held"), refused: total("refused"), cut: total("cut") },
      };
    },
  };
}

export const partitionsContinue = partitions("CONTINUE", 0);
export const partitionsAbort = partitions("ABORT", 0);
export const partitionsHeld = partitions("CONTINUE", 20);
