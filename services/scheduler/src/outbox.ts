// SPDX-License-Identifier: Apache-2.0
// Gathers what a turn tells agents: one TellAgent per agent, one send per link.

import type { ServerEvent } from "@remex/proto/agent/v1";
import type { RegistryEvent, SchedulerEvent, TellAgent } from "@remex/proto/scheduler/v1";
import type { FrameLink } from "@remex/transport";
import { sessionOfText } from "./wire-refs.ts";

/** A registry's link, as the scheduler holds it. */
export type RegistryLink = FrameLink<RegistryEvent, SchedulerEvent>;

/** Where an agent's answers go: the link that it was heard on, and its session. */
export interface Recipient {
  readonly link: RegistryLink;
  readonly agent: string;
  readonly session: string;
}

/** About what an event weighs beside its payload. */
const eventBytes = 128;

export class Outbox {
  readonly #deployment: string;
  readonly #links = new Map<RegistryLink, Map<string, TellAgent>>();
  readonly #bytes = new Map<RegistryLink, number>();

  constructor(deployment: string) {
    this.#deployment = deployment;
  }

  /** `bytes` is the size of a payload that the event carries. */
  tell(to: Recipient, event: ServerEvent, bytes = 0): void {
    let agents = this.#links.get(to.link);
    if (agents === undefined) {
      agents = new Map();
      this.#links.set(to.link, agents);
    }
    const name = `${to.agent} ${to.session}`;
    let tell = agents.get(name);
    if (tell === undefined) {
      tell = {
        $typeName: "remex.scheduler.v1.TellAgent",
        deployment: this.#deployment,
        agent: to.agent,
        session: sessionOfText(to.session),
        events: [],
      };
      agents.set(name, tell);
    }
    tell.events.push(event);
    this.#bytes.set(to.link, (this.#bytes.get(to.link) ?? 0) + eventBytes + bytes);
  }

  /** Sends everything. */
  flush(): void {
    for (const [link, agents] of this.#links) {
      const events: SchedulerEvent[] = [];
      for (const value of agents.values()) {
        events.push({
          $typeName: "remex.scheduler.v1.SchedulerEvent",
          event: { case: "tell", value },
        });
      }
      link.send(events, this.#bytes.get(link));
    }
  }
}
