// SPDX-License-Identifier: Apache-2.0
// Hello, settings and capabilities between the contract's form and the domain's.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type AgentCapabilities,
  type AgentKindWord,
  type Availability,
  agentKindOf,
  agentKinds,
  agentProtocol,
  availabilities,
  failureOf,
  type OnCutSetting,
  RemexError,
  refToWire,
  type SessionRef,
  type StatedHello,
} from "@remex/domain";
import {
  type Capabilities,
  CapabilitiesSchema,
  type Hello,
  type ServerEvent,
  ServerEventSchema,
  type Settings,
  SettingsSchema,
} from "@remex/proto/agent/v1";
import { OnCut } from "@remex/proto/common/v1";
import type { ProjectedDeployment } from "@remex/store";
import { maxMessageBytes } from "@remex/transport";

/** A hello as the domain judges it. */
export function statedHello(hello: Hello): StatedHello {
  return {
    protocolMin: hello.protocolMin,
    protocolMax: hello.protocolMax,
    agent: hello.agent,
    instance: hello.instance,
    kind: hello.kind,
    capabilities:
      hello.capabilities === undefined ? undefined : statedCapabilities(hello.capabilities),
    softwareVersion: hello.softwareVersion,
    hostname: hello.hostname,
    inventoryEntries: hello.inventory?.entries.length ?? 0,
  };
}

/** Capabilities as the domain judges them. */
export function statedCapabilities(capabilities: Capabilities): AgentCapabilities {
  const { queues, labels, slots, group, runtimes, runtimeVersions } = capabilities;
  return { queues, labels, slots, group, runtimes, runtimeVersions };
}

/** Judged capabilities in the contract's form. */
export function capabilitiesToWire(capabilities: AgentCapabilities): Capabilities {
  return create(CapabilitiesSchema, {
    queues: [...capabilities.queues],
    labels: { ...capabilities.labels },
    slots: capabilities.slots,
    group: capabilities.group,
    runtimes: [...capabilities.runtimes],
    runtimeVersions: { ...capabilities.runtimeVersions },
  });
}

/** What an agent judges by (T4); its group's word on cut-off work holds over the deployment's. */
export function settingsToWire(
  config: ProjectedDeployment,
  ofGroup: OnCutSetting | undefined,
): Settings {
  const onCut = ofGroup ?? config.onCut;
  return create(SettingsSchema, {
    intervalVersion: BigInt(config.intervalVersion),
    heartbeatInterval: durationFromMs(config.heartbeatMs),
    agentLease: durationFromMs(config.leaseMs),
    confirmWindow: durationFromMs(config.windowMs),
    stopTime: durationFromMs(config.stopMs),
    onCut: onCut === "ABORT" ? OnCut.ABORT : OnCut.CONTINUE,
    maxFrameBytes: maxMessageBytes,
  });
}

/** The number that the contract gives an availability. */
export function availabilityToWire(availability: Availability): number {
  return availabilities.indexOf(availability);
}

/** The number that the contract gives a kind. */
export function kindToWire(kind: AgentKindWord): number {
  return agentKinds.indexOf(kind);
}

/** Kinds of a token's scope; numbers of a newer contract are left out. */
export function kindsFromWire(kinds: readonly number[]): AgentKindWord[] {
  return kinds.map(agentKindOf).filter((kind) => kind !== undefined);
}

/** Everything that Welcome says. */
export interface WelcomeFacts {
  readonly session: SessionRef;
  readonly generation: number;
  readonly resumed: boolean;
  readonly sessionKey: Uint8Array;
  readonly epoch: string;
  readonly registry: string;
  readonly availability: Availability;
  readonly config: ProjectedDeployment;
  /** What the agent's group says about cut-off work. */
  readonly onCut: OnCutSetting | undefined;
}

/** The first event of an accepted stream. */
export function welcomeEvent(facts: WelcomeFacts): ServerEvent {
  return serverEvent({
    case: "welcome",
    value: {
      session: refToWire(facts.session),
      generation: BigInt(facts.generation),
      protocol: agentProtocol,
      resumed: facts.resumed,
      deployment: facts.config.deployment,
      settings: settingsToWire(facts.config, facts.onCut),
      sessionKey: { key: facts.sessionKey },
      epoch: BigInt(facts.epoch),
      registry: facts.registry,
      airflowApi: facts.config.airflowApiUrl !== "",
      availability: availabilityToWire(facts.availability),
    },
  });
}

/** Builds one event for an agent. */
export function serverEvent(
  event: NonNullable<MessageInitShape<typeof ServerEventSchema>["event"]>,
): ServerEvent {
  return create(ServerEventSchema, { event });
}

/** A frame that breaks the contract, as an error that ends the stream. */
export function frameInvalid(problem: string): RemexError {
  return new RemexError(failureOf("frame_invalid", { problem }));
}
