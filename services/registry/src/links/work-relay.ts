// SPDX-License-Identifier: Apache-2.0
// Joins agents to the schedulers that serve them: hands them over, and relays work both ways.
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { chooseByRendezvous, refToWire } from "@remex/domain";
import type { AgentEvent, Inventory, ServerEvent } from "@remex/proto/agent/v1";
import {
  type RegistryEvent,
  RegistryEventSchema,
  type SchedulerEvent,
  type TellAgent,
} from "@remex/proto/scheduler/v1";
import type { Clock, Logger } from "@remex/runtime";
import {
  createManagedLinks,
  type FrameLink,
  type LinkTarget,
  type ManagedLinks,
} from "@remex/transport";
import type { LiveSession } from "../session/live-session.ts";
import type { LiveSessions } from "../session/live-sessions.ts";
import {
  capabilitiesToWire,
  frameInvalid,
  kindToWire,
  serverEvent,
} from "../session/session-wire.ts";
import { roughBytesOf, roughSaidBytesOf } from "./rough-bytes.ts";

export type SchedulerLink = FrameLink<SchedulerEvent, RegistryEvent>;

export interface WorkRelayDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly live: LiveSessions;
  /** Dials a scheduler; sends the link's hello. */
  dial(target: LinkTarget, signal: AbortSignal): Promise<SchedulerLink>;
  /** A scheduler has something for an agent; sends it on. */
  tell(live: LiveSession, events: readonly ServerEvent[], roughBytes: number): void;
  /** A link came up or went down. */
  onLinksChanged(): void;
}

export interface WorkRelay {
  setTargets(targets: readonly LinkTarget[]): void;
  /** A session is live, with what its agent holds. */
  attach(live: LiveSession, inventory: Inventory | undefined): void;
  /** Its stream is gone, or it has ended. */
  detach(live: LiveSession, reason: string): void;
  /** What the agent said about work, in order. */
  said(live: LiveSession, events: readonly AgentEvent[]): void;
  /** Whether it may get offers has changed, or with `withCapabilities` what it can do. */
  admission(live: LiveSession, withCapabilities: boolean): void;
  /** Number of schedulers that are linked to. */
  readonly links: number;
  /** Events for sessions that are not here. */
  readonly dropped: number;
  close(): void;
}

/** How an agent stands to the schedulers. */
type Binding =
  /** No scheduler is linked to. */
  | { readonly kind: "none" }
  /** `scheduler` will get it with the inventory that was asked for; what is said meanwhile waits. */
  | { readonly kind: "awaiting_inventory"; readonly scheduler: string; said: AgentEvent[] }
  | { readonly kind: "attached"; readonly scheduler: string };

export function createWorkRelay(deps: WorkRelayDeps): WorkRelay {
  return new LinkedWorkRelay(deps);
}

/** Most events of an agent that wait for its inventory. */
const mostWaiting = 10_000;

class LinkedWorkRelay implements WorkRelay {
  readonly #deps: WorkRelayDeps;
  readonly #bindings = new Map<LiveSession, Binding>();
  readonly #links: ManagedLinks<SchedulerEvent, RegistryEvent>;
  #dropped = 0;
  #attachments = 0n;

  constructor(deps: WorkRelayDeps) {
    const { clock, log, dial } = deps;
    this.#deps = deps;
    this.#links = createManagedLinks<SchedulerEvent, RegistryEvent>({
      ...{ clock, log, dial },
      onUp: (_target, link) => {
        link.onEvents((events) => {
          for (const { event } of events) if (event.case === "tell") this.#tell(event.value);
        });
        this.#linksChanged();
      },
      onDown: () => this.#linksChanged(),
    });
  }

  setTargets(targets: readonly LinkTarget[]): void {
    this.#links.setTargets(targets);
  }

  attach(live: LiveSession, inventory: Inventory | undefined): void {
    const scheduler = this.#choose(live);
    this.#bindings.set(live, { kind: "none" });
    if (scheduler !== undefined) this.#attachNow(live, scheduler, inventory);
  }

  detach(live: LiveSession, reason: string): void {
    const binding = this.#bindings.get(live);
    this.#bindings.delete(live);
    if (binding?.kind === "attached") this.#send(binding.scheduler, detachedEvent(live, reason));
  }

  said(live: LiveSession, events: readonly AgentEvent[]): void {
    const binding = this.#bindings.get(live);
    if (binding === undefined || binding.kind === "none") return;
    if (binding.kind === "attached") {
      this.#send(binding.scheduler, saidEvent(live, events), roughSaidBytesOf(events));
      return;
    }
    const at = events.findIndex(({ event }) => event.case === "inventory");
    const inventory = events[at]?.event;
    binding.said.push(...events.slice(0, at === -1 ? events.length : at));
    if (inventory?.case === "inventory") {
      this.#attachNow(live, binding.scheduler, inventory.value);
      const waited = [...binding.said, ...events.slice(at + 1)];
      if (waited.length > 0) {
        this.#send(binding.scheduler, saidEvent(live, waited), roughSaidBytesOf(waited));
      }
    } else if (binding.said.length > mostWaiting) {
      live.channel.end(frameInvalid("a demand for the inventory was not answered"));
    }
  }

  admission(live: LiveSession, withCapabilities: boolean): void {
    const binding = this.#bindings.get(live);
    if (binding?.kind !== "attached") return;
    this.#send(binding.scheduler, admissionEvent(live, withCapabilities));
  }

  get links(): number {
    return this.#links.up.size;
  }

  get dropped(): number {
    return this.#dropped;
  }

  close(): void {
    this.#links.close();
  }

  #tell({ deployment, agent, session, events }: TellAgent): void {
    const live = this.#deps.live.find(deployment, agent, session);
    if (live === undefined) this.#dropped += events.length;
    else this.#deps.tell(live, events, roughBytesOf(events));
  }

  #linksChanged(): void {
    for (const live of [...this.#bindings.keys()]) this.#rebind(live);
    this.#deps.onLinksChanged();
  }

  // A scheduler that takes an agent over needs its inventory as of now, so it is asked for.
  #rebind(live: LiveSession): void {
    const before = this.#bindings.get(live);
    if (before === undefined) return;
    const scheduler = this.#choose(live);
    if (before.kind !== "none" && before.scheduler === scheduler) return;
    if (before.kind === "attached") this.#send(before.scheduler, detachedEvent(live, "moved"));
    if (scheduler === undefined) {
      this.#bindings.set(live, { kind: "none" });
      return;
    }
    const said = before.kind === "awaiting_inventory" ? before.said : [];
    this.#bindings.set(live, { kind: "awaiting_inventory", scheduler, said });
    const value = { reason: "scheduler_changed" };
    live.channel.send([serverEvent({ case: "inventoryRequest", value })]);
  }

  #choose(live: LiveSession): string | undefined {
    return chooseByRendezvous(live.key, this.#links.up.keys());
  }

  #attachNow(live: LiveSession, scheduler: string, inventory: Inventory | undefined): void {
    this.#bindings.set(live, { kind: "attached", scheduler });
    this.#attachments += 1n;
    this.#send(scheduler, attachedEvent(live, inventory, this.#attachments));
  }

  #send(scheduler: string, event: RegistryEvent, roughBytes?: number): void {
    this.#links.up.get(scheduler)?.send([event], roughBytes);
  }
}

function registryEvent(
  event: NonNullable<MessageInitShape<typeof RegistryEventSchema>["event"]>,
): RegistryEvent {
  return create(RegistryEventSchema, { event });
}

function aboutOf(live: LiveSession) {
  const { deployment, agent, session } = live.facts;
  return { deployment, agent, session: refToWire(session) };
}

function attachedEvent(
  live: LiveSession,
  inventory: Inventory | undefined,
  binding: bigint,
): RegistryEvent {
  return registryEvent({
    case: "attached",
    value: {
      ...aboutOf(live),
      kind: kindToWire(live.facts.kind),
      capabilities: capabilitiesToWire(live.capabilities),
      offersAllowed: live.offers.allowed,
      inventory: inventory ?? {},
      generation: BigInt(live.facts.generation),
      binding,
    },
  });
}

function detachedEvent(live: LiveSession, reason: string): RegistryEvent {
  return registryEvent({ case: "detached", value: { ...aboutOf(live), reason } });
}

function saidEvent(live: LiveSession, events: readonly AgentEvent[]): RegistryEvent {
  return registryEvent({ case: "said", value: { ...aboutOf(live), events: [...events] } });
}

function admissionEvent(live: LiveSession, withCapabilities: boolean): RegistryEvent {
  return registryEvent({
    case: "admission",
    value: {
      ...aboutOf(live),
      offersAllowed: live.offers.allowed,
      reason: live.offers.allowed ? "" : live.offers.reason,
      ...(withCapabilities ? { capabilities: capabilitiesToWire(live.capabilities) } : {}),
    },
  });
}
