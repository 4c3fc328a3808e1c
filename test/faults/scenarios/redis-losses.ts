// SPDX-License-Identifier: Apache-2.0
// Redis loses what it knew: everything at once, or the last writes when a replica takes over.

import { Redis } from "ioredis";
import { startRedisPair } from "../redis-pair.ts";
import { harmFor, type Scenario, sleepMs } from "../scenario.ts";
import { quickLimitMs, startWorld, twoOfEach } from "../world.ts";

const load = 16;
/** Quarantine lasts one SL after the last agent is in; then everything must end as usual. */
const healMs = 4 * quickLimitMs + 90_000;

function socketOf(url: string): string {
  return url.slice("unix://".length);
}

export const flushAll: Scenario = {
  name: "flushall",
  about: "FLUSHALL under load: agents return by themselves, running work keeps its attempt",
  run: async (context) => {
    await using world = await startWorld({
      agents: 3,
      resubmit: true,
      taskSeconds: () => context.chance.between(0.5, 4),
    });
    const redis = new Redis(socketOf(world.plane.redis.url));
    let flushed = 0;
    try {
      await world.load(
        harmFor(context, [10_000, 20_000], async () => {
          const keys = await redis.dbsize();
          await redis.flushall();
          if (keys > 0) flushed += 1;
          context.say(`flushed ${keys} keys`);
          await sleepMs(3 * quickLimitMs);
        }),
        load,
      );
    } finally {
      redis.disconnect();
    }
    return { judgement: await world.judge(healMs), harm: { flushed } };
  },
};

export const promotion: Scenario = {
  name: "redis-promotion",
  about: "a replica that misses the last writes takes the place of its killed primary",
  run: async (context) => {
    await using pair = await startRedisPair();
    await using world = await startWorld({
      agents: 3,
      resubmit: true,
      layout: {
        ...twoOfEach,
        redisUrl: () => pair.url,
        // What is acknowledged or shown is in the replica (D1), or a promotion would take it back.
        args: () => ["--redis-replicas", "1"],
      },
      taskSeconds: () => context.chance.between(0.5, 4),
    });
    let promotions = 0;
    let lostBytes = 0;
    await world.load(
      harmFor(context, [8_000, 15_000], async () => {
        const lost = await pair.promote(context.chance.between(200, 2_000));
        if (lost > 0) promotions += 1;
        lostBytes += lost;
        context.say(`promoted; ${lost} bytes of writes were lost`);
        await sleepMs(3 * quickLimitMs);
      }),
      load,
    );
    return { judgement: await world.judge(healMs), harm: { promotions, lostBytes } };
  },
};
