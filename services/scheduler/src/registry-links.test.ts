// SPDX-License-Identifier: Apache-2.0
// Proves that what was said of an agent over an older link harms nothing when it is heard late.

import { create } from "@bufbuild/protobuf";
import type { RegistryEvent, SchedulerEvent } from "@remex/proto/scheduler/v1";
import { RegistryEventSchema } from "@remex/proto/scheduler/v1";
import { createSilentLogger } from "@remex/runtime";
import { createInProcessLinkPair } from "@remex/transport";
import { expect, test } from "vitest";
import { AttachedAgents } from "./attached-agents.ts";
import type { DeploymentTurns } from "./deployment-turns.ts";
import { createRegistryLinks } from "./registry-links.ts";

const about = { deployment: "team-a", agent: "a1", session: { epoch: 1n, number: 1n } };

type Word = NonNullable<RegistryEvent["event"]>;

function attached(generation: bigint, binding: bigint): RegistryEvent {
  const value = { ...about, capabilities: {}, offersAllowed: true, generation, binding };
  return create(RegistryEventSchema, { event: { case: "attached", value } as Word });
}

function detached(): RegistryEvent {
  const value = { ...about, reason: "moved" };
  return create(RegistryEventSchema, { event: { case: "detached", value } as Word });
}

test.each([
  ["another link of the same registry", attached(1n, 1n), attached(1n, 2n)],
  ["the registry that the agent has left", attached(1n, 9n), attached(2n, 1n)],
])(
  "PROTOCOL-L5, I14: an attachment by %s that is heard late does not take the agent away",
  async (_, older, newer) => {
    const agents = new AttachedAgents();
    const turns = { agents, say: () => undefined, wake: () => undefined };
    const links = createRegistryLinks({
      scheduler: "scheduler-1",
      turnsOf: () => turns as unknown as DeploymentTurns,
      log: createSilentLogger(),
      onAttached: () => undefined,
    });
    const far = () => {
      const pair = createInProcessLinkPair<RegistryEvent, SchedulerEvent>("registry", "scheduler");
      links.accept(pair.server);
      return pair.client;
    };
    const [first, second] = [far(), far()];
    second.send([newer]);
    await expect.poll(() => agents.size).toBe(1);
    first.send([older, detached()]);
    first.close("moved");
    await expect.poll(() => links.open).toBe(1);
    expect(agents.size).toBe(1);
    second.send([detached()]);
    await expect.poll(() => agents.size).toBe(0);
  },
);
