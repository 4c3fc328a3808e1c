// SPDX-License-Identifier: Apache-2.0
// The agents of one deployment that this scheduler serves, the lanes that wait, and who may be offered what.

import { type AgentKindWord, type Lane, laneFits, parseLane } from "@remex/domain";
import type { ClaimCandidate, Claimed } from "@remex/store";

/** What an agent can do, as far as offers go. */
export interface AgentAbilities {
  readonly kind: AgentKindWord;
  readonly queues: readonly string[];
  readonly runtimes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly slots: number;
}

/** One attached agent. */
export interface AttachedAgent {
  readonly agent: string;
  readonly session: string;
  abilities: AgentAbilities;
  /** As the registry last said (I6); the store judges again. */
  offersAllowed: boolean;
  /** False until the store has answered its first inventory in this session. */
  inventoried: boolean;
  /** Attempts that it was told to kill and has not reported yet (H3), as "task attempt". */
  readonly kills: Set<string>;
  /** Since when it has such attempts, and when it was last asked about them. */
  killsAskedAtMs: number;
  /** True when it had no room at the last claim and has not freed enough since. */
  full: boolean;
  /** Attempts that it has ended since it was full. */
  freed: number;
  /** No offers before this instant: it just declined, or was found unfit by the store. */
  pausedUntilMs: number;
  /** Whether it fits a lane, by the lane's text. */
  readonly fits: Map<string, boolean>;
}

interface LaneState {
  readonly lane: Lane;
  /** Counts the wake-ups, so that an older claim's answer does not undo a newer wake-up. */
  version: number;
  /** True when something may wait in it. */
  waiting: boolean;
}

/** A claim that is to be sent, and what is needed to read its answer. */
export interface ClaimPlan {
  readonly candidates: readonly ClaimCandidate[];
  readonly versions: ReadonlyMap<string, number>;
}

/**
 * State of one deployment in one scheduler. Nothing in it is the truth: the store counts slots and holds
 * lanes. It only says when a claim is worth its call.
 *
 * - H3: an agent with kills that are not answered is no candidate.
 * - I6: an agent whose registry does not allow offers is no candidate.
 * - A wake-up that arrives while a claim is under way is not lost: the lane stays waiting.
 */
export class AttachedAgents {
  readonly #agents = new Map<string, AttachedAgent>();
  readonly #lanes = new Map<string, LaneState>();
  #turn = 0;

  get size(): number {
    return this.#agents.size;
  }

  values(): IterableIterator<AttachedAgent> {
    return this.#agents.values();
  }

  get(agent: string): AttachedAgent | undefined {
    return this.#agents.get(agent);
  }

  /** The agent, when it is attached in this session. */
  in(agent: string, session: string): AttachedAgent | undefined {
    const attached = this.#agents.get(agent);
    return attached?.session === session ? attached : undefined;
  }

  attach(
    agent: string,
    session: string,
    abilities: AgentAbilities,
    offersAllowed: boolean,
  ): AttachedAgent {
    const attached: AttachedAgent = {
      agent,
      session,
      abilities,
      offersAllowed,
      inventoried: false,
      kills: new Set(),
      killsAskedAtMs: 0,
      full: false,
      freed: 0,
      pausedUntilMs: 0,
      fits: new Map(),
    };
    this.#agents.set(agent, attached);
    return attached;
  }

  detach(agent: string, session: string): boolean {
    return this.in(agent, session) !== undefined && this.#agents.delete(agent);
  }

  setAbilities(attached: AttachedAgent, abilities: AgentAbilities): void {
    attached.abilities = abilities;
    attached.fits.clear();
    makeRoom(attached);
  }

  /** Something may wait in these lanes. */
  wake(lanes: Iterable<string>): void {
    for (const text of lanes) {
      const state = this.#lanes.get(text);
      if (state === undefined) {
        this.#lanes.set(text, { lane: parseLane(text), version: 1, waiting: true });
      } else {
        state.version += 1;
        state.waiting = true;
      }
    }
  }

  /** The sweep: these lanes hold tasks, and nobody's room is taken for granted any more. */
  refresh(lanes: Iterable<string>): void {
    const waiting = new Set(lanes);
    for (const [text, state] of this.#lanes) {
      if (!state.waiting && !waiting.has(text)) this.#lanes.delete(text);
    }
    this.wake(waiting);
    for (const attached of this.#agents.values()) makeRoom(attached);
  }

  /**
   * An agent has ended attempts, so that slots are free. One that was full is refilled when half of its
   * slots are free, or when `refill` is called: offers then travel by the handful and not one by one,
   * which under load is most of what a task costs. True when a claim is worth it now.
   */
  free(attached: AttachedAgent, attempts: number): boolean {
    if (!attached.full) return true;
    attached.freed += attempts;
    if (2 * attached.freed < attached.abilities.slots) return false;
    makeRoom(attached);
    return true;
  }

  /** Ends the waiting of agents that have freed some slots; true when there was one. */
  refill(): boolean {
    let any = false;
    for (const attached of this.#agents.values()) {
      if (attached.freed === 0) continue;
      makeRoom(attached);
      any = true;
    }
    return any;
  }

  /** Who is worth a claim now, beginning with another agent each time. Undefined when nobody is. */
  planClaim(nowMs: number): ClaimPlan | undefined {
    const candidates: ClaimCandidate[] = [];
    const versions = new Map<string, number>();
    for (const attached of this.#agents.values()) {
      if (!mayBeOffered(attached, nowMs)) continue;
      const lanes = this.#waitingLanesOf(attached, versions);
      if (lanes.length === 0) continue;
      const { agent, session, abilities } = attached;
      candidates.push({ agent, session, slots: abilities.slots, lanes });
    }
    if (candidates.length === 0) return undefined;
    const first = this.#turn++ % candidates.length;
    return {
      candidates: [...candidates.slice(first), ...candidates.slice(0, first)],
      versions,
    };
  }

  #waitingLanesOf(attached: AttachedAgent, versions: Map<string, number>): string[] {
    const lanes: string[] = [];
    for (const [text, state] of this.#lanes) {
      if (!state.waiting) continue;
      let fits = attached.fits.get(text);
      if (fits === undefined) {
        fits = laneFits(state.lane, attached.abilities);
        attached.fits.set(text, fits);
      }
      if (!fits) continue;
      versions.set(text, state.version);
      lanes.push(text);
    }
    return lanes;
  }

  /** Takes a claim's answer in. True when more can be claimed at once. */
  noteClaimed(plan: ClaimPlan, claimed: Claimed, most: number, pauseUntilMs: number): boolean {
    for (const text of claimed.empty) {
      const state = this.#lanes.get(text);
      if (state !== undefined && state.version === plan.versions.get(text)) state.waiting = false;
    }
    for (const { candidate } of claimed.unfit) {
      const attached = this.in(candidate.agent, candidate.session);
      if (attached !== undefined) attached.pausedUntilMs = pauseUntilMs;
    }
    for (const { agent, session } of claimed.full) this.#setFull(agent, session);
    if (claimed.offers.length >= most) return true;
    // Who got nothing although something waits has room, but not for what is first in its lanes.
    const served = new Set(claimed.offers.map(({ candidate }) => candidate.agent));
    const empty = new Set(claimed.empty);
    for (const { agent, session, lanes } of plan.candidates) {
      if (served.has(agent) || lanes.every((lane) => empty.has(lane))) continue;
      this.#setFull(agent, session);
    }
    return false;
  }

  #setFull(agent: string, session: string): void {
    const attached = this.in(agent, session);
    if (attached === undefined) return;
    attached.full = true;
    attached.freed = 0;
  }
}

/** Lets the next claim ask for the agent. */
export function makeRoom(attached: AttachedAgent): void {
  attached.full = false;
  attached.freed = 0;
}

function mayBeOffered(attached: AttachedAgent, nowMs: number): boolean {
  return (
    attached.offersAllowed &&
    attached.inventoried &&
    attached.kills.size === 0 &&
    !attached.full &&
    attached.pausedUntilMs <= nowMs
  );
}
