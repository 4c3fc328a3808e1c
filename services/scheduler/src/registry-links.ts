// SPDX-License-Identifier: Apache-2.0
// The serving side of the links from registries: which agents are attached over which link, and what they say.

import { type AgentKindWord, agentKindOf, runtimesOfKind } from "@remex/domain";
import type { Capabilities } from "@remex/proto/agent/v1";
import type {
  AgentAdmission,
  AgentAttached,
  AgentDetached,
  AgentSaid,
  RegistryEvent,
} from "@remex/proto/scheduler/v1";
import type { Logger } from "@remex/runtime";
import type { AgentAbilities } from "./attached-agents.ts";
import type { DeploymentTurns } from "./deployment-turns.ts";
import { readInventory } from "./inventory-wire.ts";
import type { RegistryLink } from "./outbox.ts";
import { readSaid } from "./said.ts";
import { textOfRef } from "./wire-refs.ts";

export interface RegistryLinksDeps {
  /** Id of this replica. */
  readonly scheduler: string;
  turnsOf(deployment: string): DeploymentTurns;
  readonly log: Logger;
  onAttached(agents: number): void;
}

export interface RegistryLinks {
  accept(link: RegistryLink): void;
  /** The link of an attached agent's session. */
  linkOf(deployment: string, agent: string, session: string): RegistryLink | undefined;
  /** Events that broke the contract. */
  readonly malformed: number;
  readonly open: number;
  close(): void;
}

interface Attachment {
  readonly link: RegistryLink;
  readonly deployment: string;
  readonly agent: string;
  readonly session: string;
  /** What orders attachments that came over several links: generation of the stream, number at its registry. */
  readonly order: readonly [generation: bigint, binding: bigint];
}

/** True for what was said before `held` was, and is heard only now. */
function isLate(held: Attachment | undefined, { session, order }: Attachment): boolean {
  if (held?.session !== session) return false;
  const [generation, binding] = order;
  const [heldGeneration, heldBinding] = held.order;
  return generation < heldGeneration || (generation === heldGeneration && binding < heldBinding);
}

/** Reasons for which open offers are taken back (O1, L8); after any other they may still be accepted. */
const withdrawing: ReadonlySet<string> = new Set([
  "cordoned",
  "draining",
  "deleted",
  "session_ending",
]);

export function createRegistryLinks(deps: RegistryLinksDeps): RegistryLinks {
  const { log } = deps;
  const links = new Set<RegistryLink>();
  const attachments = new Map<string, Attachment>();
  let malformed = 0;
  const nameOf = (deployment: string, agent: string): string => `${deployment}/${agent}`;

  function attach(link: RegistryLink, attached: AgentAttached): void {
    const { deployment, agent, inventory } = attached;
    const session = textOfRef(attached.session);
    if (session === undefined || attached.capabilities === undefined) {
      malformed += 1;
      return;
    }
    const order = [attached.generation, attached.binding] as const;
    const attachment: Attachment = { link, deployment, agent, session, order };
    if (isLate(attachments.get(nameOf(deployment, agent)), attachment)) return;
    const turns = deps.turnsOf(deployment);
    const abilities = abilitiesOf(attached.capabilities, agentKindOf(attached.kind) ?? "WORKER");
    const state = turns.agents.attach(agent, session, abilities, attached.offersAllowed);
    attachments.set(nameOf(deployment, agent), attachment);
    deps.onAttached(attachments.size);
    log.debug({ deployment, agent, session, registry: link.peer }, "agent attached");
    const stated = inventory && readInventory(inventory);
    if (stated === undefined) {
      // Nothing can be judged by an inventory that is not there: it comes with the next hello or beat.
      state.inventoried = inventory === undefined;
      malformed += inventory === undefined ? 0 : 1;
      turns.wake();
      return;
    }
    turns.say({ link, agent, session }, { kind: "inventory", ...stated });
  }

  function detach(link: RegistryLink, detached: AgentDetached): void {
    const { deployment, agent, reason } = detached;
    const session = textOfRef(detached.session) ?? "";
    const held = attachments.get(nameOf(deployment, agent));
    // An agent that moved was attached over its new link already; the old one's word is late.
    if (held?.link !== link || held.session !== session) return;
    remove(held, reason);
  }

  function remove(held: Attachment, reason: string): void {
    const { deployment, agent, session } = held;
    attachments.delete(nameOf(deployment, agent));
    deps.turnsOf(deployment).agents.detach(agent, session);
    deps.onAttached(attachments.size);
    log.debug({ deployment, agent, session, reason }, "agent detached");
  }

  function admit(link: RegistryLink, admission: AgentAdmission): void {
    const { deployment, agent, offersAllowed, capabilities } = admission;
    const turns = deps.turnsOf(deployment);
    const attached = turns.agents.in(agent, textOfRef(admission.session) ?? "");
    if (attached === undefined) return;
    attached.offersAllowed = offersAllowed;
    if (!offersAllowed && withdrawing.has(admission.reason)) {
      turns.withdraw({ link, agent, session: attached.session }, admission.reason);
    }
    if (capabilities !== undefined) {
      const abilities = abilitiesOf(capabilities, attached.abilities.kind);
      turns.agents.setAbilities(attached, abilities);
    }
    if (offersAllowed) {
      attached.pausedUntilMs = 0;
      turns.wake();
    }
  }

  function hear(link: RegistryLink, said: AgentSaid): void {
    const { deployment, agent } = said;
    const session = textOfRef(said.session);
    if (session === undefined) {
      malformed += 1;
      return;
    }
    const turns = deps.turnsOf(deployment);
    const to = { link, agent, session };
    for (const event of said.events) {
      const item = readSaid(event);
      if (item !== undefined) {
        turns.say(to, item);
        continue;
      }
      malformed += 1;
      log.warn({ deployment, agent, session, event: event.event.case }, "malformed event dropped");
    }
  }

  function receive(link: RegistryLink, { event }: RegistryEvent): void {
    switch (event.case) {
      case "attached":
        attach(link, event.value);
        return;
      case "detached":
        detach(link, event.value);
        return;
      case "admission":
        admit(link, event.value);
        return;
      case "said":
        hear(link, event.value);
        return;
      case "hello":
        log.info({ registry: event.value.registry }, "registry linked");
        return;
      default:
        malformed += 1;
    }
  }

  return {
    accept(link) {
      links.add(link);
      link.send([
        {
          $typeName: "remex.scheduler.v1.SchedulerEvent",
          event: {
            case: "welcome",
            value: { $typeName: "remex.scheduler.v1.LinkWelcome", scheduler: deps.scheduler },
          },
        },
      ]);
      link.onEvents((events) => {
        for (const event of events) receive(link, event);
      });
      void link.closed.then((reason) => {
        links.delete(link);
        for (const held of [...attachments.values()]) {
          if (held.link === link) remove(held, "link_down");
        }
        log.info({ peer: link.peer, reason: reason.code }, "registry's link is down");
      });
    },
    linkOf(deployment, agent, session) {
      const held = attachments.get(nameOf(deployment, agent));
      return held?.session === session ? held.link : undefined;
    },
    get malformed() {
      return malformed;
    },
    get open() {
      return links.size;
    },
    close() {
      for (const link of links) link.close("shutting down");
    },
  };
}

/** R1: an agent is offered the work of its kind alone, whatever its runner has. */
function abilitiesOf(capabilities: Capabilities, kind: AgentKindWord): AgentAbilities {
  const { queues, labels, slots, runtimes } = capabilities;
  return { kind, queues, labels, slots, runtimes: runtimesOfKind(kind, runtimes) };
}
