// SPDX-License-Identifier: Apache-2.0
// What the agent says of itself: its hello and its capabilities.

import { create } from "@bufbuild/protobuf";
import { refToWire } from "@remex/domain";
import {
  type AgentEvent,
  AgentEventSchema,
  type Capabilities,
  CapabilitiesSchema,
} from "@remex/proto/agent/v1";
import type { AgentKind } from "@remex/proto/common/v1";
import type { FormerInstance, HelloPlan } from "../session/agent-state.ts";
import { softwareVersion } from "../software-version.ts";

/** What the agent is, from its settings. */
export interface AgentDescription {
  readonly name: string;
  readonly kind: AgentKind;
  readonly queues: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly slots: number;
  readonly group: string;
  readonly hostname: string;
  /** Random identity of this process, 16 bytes. */
  readonly instance: Uint8Array;
}

/** The contract's version that is spoken here. */
const protocolVersion = 1;

export function capabilitiesOf(
  agent: AgentDescription,
  runtimes: readonly string[],
  runtimeVersions: Readonly<Record<string, string>>,
): Capabilities {
  return create(CapabilitiesSchema, {
    queues: [...agent.queues],
    labels: { ...agent.labels },
    slots: agent.slots,
    group: agent.group,
    runtimes: [...runtimes],
    runtimeVersions: { ...runtimeVersions },
  });
}

/** The first event of a stream, as the machine planned it. */
export function helloEvent(
  agent: AgentDescription,
  capabilities: Capabilities,
  plan: HelloPlan,
): AgentEvent {
  const { resume, inventory, epochSeen, dial, takeover, unguarded } = plan;
  const value = {
    protocolMin: protocolVersion,
    protocolMax: protocolVersion,
    agent: agent.name,
    instance: agent.instance,
    kind: agent.kind,
    capabilities,
    softwareVersion,
    ...(resume === undefined
      ? {}
      : {
          resume: { session: refToWire(resume.session), generation: BigInt(resume.generation) },
        }),
    inventory,
    epochSeen: BigInt(epochSeen),
    hostname: agent.hostname,
    dial: BigInt(dial),
    unguarded,
    ...(takeover === undefined ? {} : { takeover: takeoverClaim(takeover) }),
  };
  return create(AgentEventSchema, { event: { case: "hello", value } });
}

function takeoverClaim({ instance, session }: FormerInstance) {
  return {
    oldInstance: instance,
    ...(session === undefined ? {} : { oldSession: refToWire(session) }),
  };
}
