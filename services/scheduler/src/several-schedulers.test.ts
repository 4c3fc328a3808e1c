// SPDX-License-Identifier: Apache-2.0
// Two schedulers that dispatch the same tasks at the same moment, each over a connection of its own.
import {
  createStore,
  deploymentLibrary,
  openRedis,
  type RedisConnections,
  sessionLibrary,
  taskLibrary,
} from "@remex/store";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import {
  type FarAgent,
  readOffer,
  type SchedulerWorld,
  startScheduler,
  until,
} from "./scheduler-test-kit.ts";
import { ready, type StoreWorld, startStoreWorld } from "./store-test-kit.ts";

const slots = 4;
let store: StoreWorld;
let redis: RedisConnections;
let one: SchedulerWorld;
let two: SchedulerWorld;
beforeAll(async () => {
  store = await startStoreWorld();
  redis = openRedis({ url: store.server.url, connectionName: "scheduler-2" });
  await ready(redis.commands);
});
beforeEach(async () => {
  await store.reset();
  one = await startScheduler(store);
  const libraries = [taskLibrary, sessionLibrary, deploymentLibrary];
  const own = createStore(redis.commands, store.store.epoch, libraries);
  two = await startScheduler({ ...store, store: own }, "scheduler-2");
});
afterEach(() => {
  one.stop();
  two.stop();
});
afterAll(async () => {
  redis.close();
  await store.stop();
});

/** Accepts and reports as it hears; notes each offer, and the most slots that were given out at once. */
class Worker {
  readonly offered: string[] = [];
  mostSlots = 0;
  readonly #agent: FarAgent;
  readonly #costs = new Map<string, number>();
  #slots = 0;
  #read = 0;

  constructor(agent: FarAgent) {
    this.#agent = agent;
  }

  turn(): void {
    for (const { event } of this.#agent.heard.slice(this.#read)) {
      this.#read += 1;
      if (event.case === "offer") {
        const offer = readOffer(event.value);
        const cost = offer.spec?.slotCost || 1;
        this.offered.push(offer.task);
        this.#costs.set(offer.task, cost);
        this.#slots += cost;
        this.mostSlots = Math.max(this.mostSlots, this.#slots);
        this.#agent.accept(offer);
      } else if (event.case === "confirm") {
        // With the end of the work its slots are free, whenever the answer comes.
        this.#agent.report(event.value);
        this.#slots -= this.#costs.get(event.value.task) ?? 0;
      }
    }
  }
}

test("PROTOCOL-S8 I19: two schedulers that claim at once never over-offer an agent, and offer no task twice", async () => {
  const agents = await Promise.all([
    ...["a1", "a2", "a3"].map((name) => one.agent(name, { slots })),
    ...["b1", "b2", "b3"].map((name) => two.agent(name, { slots })),
  ]);
  // One agent that both believe to serve, as after a registry that told both.
  const shared = await one.agent("both", { slots });
  const twin = two.twin(shared);
  const specs = Array.from({ length: 60 }, (_, index) => ({ slotCost: 1 + (index % 3) }));
  const tasks = (await Promise.all([one.submit(...specs), two.submit(...specs)])).flat();
  const workers = [...agents, shared, twin].map((agent) => new Worker(agent));
  const offered = () => workers.flatMap((worker) => worker.offered);
  await until("an offer of every task", async () => {
    await Promise.all([one.scheduler.sweepOnce(), two.scheduler.sweepOnce()]);
    for (const worker of workers) worker.turn();
    return offered().length >= tasks.length ? true : undefined;
  });
  expect(offered().sort()).toEqual([...tasks].sort());
  for (const { mostSlots } of workers) expect(mostSlots).toBeLessThanOrEqual(slots);
  const [atOne, atTwo] = [workers.slice(0, 3), workers.slice(3, 6)];
  // Both have really taken part.
  for (const side of [atOne, atTwo]) {
    expect(side.flatMap((worker) => worker.offered).length).toBeGreaterThan(0);
  }
});
