// SPDX-License-Identifier: Apache-2.0
// One session whose stream ends at this registry, with what the registry knows of its agent.
import {
  type AgentCapabilities,
  type AgentHealthWord,
  type AgentKindWord,
  type Availability,
  decideOffers,
  formatRef,
  type OfferDecision,
  type OnCutSetting,
  type RemexError,
  type SessionRef,
  sameOfferDecision,
  type TokenScope,
} from "@remex/domain";
import type { Cancel, ServerEvent } from "@remex/proto/agent/v1";

/** The stream of a session, as those who speak to the agent see it. */
export interface AgentChannel {
  /** Queues events for the frame of this turn; `roughBytes` is about how large they are. */
  send(events: readonly ServerEvent[], roughBytes?: number): void;
  /** Ends the stream after what is queued was written; with an error as its status. */
  end(error?: RemexError): void;
}

/** What a session begins with. */
export interface LiveSessionFacts {
  readonly deployment: string;
  readonly agent: string;
  readonly session: SessionRef;
  readonly generation: number;
  readonly instance: string;
  readonly kind: AgentKindWord;
  readonly capabilities: AgentCapabilities;
  readonly scope: TokenScope;
  readonly token: string;
  readonly keyDigest: string;
  readonly address: string;
  readonly availability: Availability;
  /** What its group says about cut-off work; undefined leaves it to the deployment. */
  readonly onCut: OnCutSetting | undefined;
  /** What it was told that cut-off work does. */
  readonly toldOnCut: OnCutSetting;
  readonly health: AgentHealthWord;
  readonly healthReason: string;
  readonly intervalVersion: number;
}

/** Names an agent in the tables of this registry. */
export function agentKey(deployment: string, agent: string): string {
  return `${deployment}/${agent}`;
}

export class LiveSession {
  readonly facts: LiveSessionFacts;
  readonly channel: AgentChannel;
  readonly key: string;
  /** "epoch.number". */
  readonly sessionText: string;
  capabilities: AgentCapabilities;
  scope: TokenScope;
  token: string;
  availability: Availability;
  onCut: OnCutSetting | undefined;
  toldOnCut: OnCutSetting;
  /** Deadline of the drain that the agent was told of; zero when it was told of none. */
  drainAtMs = 0;
  health: AgentHealthWord;
  healthReason: string;
  draining = false;
  ending = false;
  /** Why it is ending; empty while it is not. */
  endingReason = "";
  /** Settles when a goodbye was dealt with; undefined while none was said. */
  leaving: Promise<void> | undefined;
  /** Newest settings that the agent was sent. */
  intervalVersion: number;
  /** Wished cancels that the agent has not reported yet, by task (C4). */
  readonly cancels = new Map<string, Cancel>();
  #decision: OfferDecision;

  constructor(facts: LiveSessionFacts, channel: AgentChannel) {
    this.facts = facts;
    this.channel = channel;
    this.key = agentKey(facts.deployment, facts.agent);
    this.sessionText = formatRef(facts.session);
    this.capabilities = facts.capabilities;
    this.scope = facts.scope;
    this.token = facts.token;
    this.availability = facts.availability;
    this.onCut = facts.onCut;
    this.toldOnCut = facts.toldOnCut;
    this.health = facts.health;
    this.healthReason = facts.healthReason;
    this.intervalVersion = facts.intervalVersion;
    this.#decision = decideOffers(this);
  }

  /** Whether the agent may get offers, as last decided. */
  get offers(): OfferDecision {
    return this.#decision;
  }

  /** Decides anew; true when the answer changed. */
  decideOffers(): boolean {
    const decision = decideOffers(this);
    if (sameOfferDecision(decision, this.#decision)) return false;
    this.#decision = decision;
    return true;
  }

  /** Fields for a log line. */
  get logFields(): { deployment: string; agent: string; session: string } {
    const { deployment, agent } = this.facts;
    return { deployment, agent, session: this.sessionText };
  }
}
