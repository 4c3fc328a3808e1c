// SPDX-License-Identifier: Apache-2.0
// Gathers the beats of one turn, renews them deployment by deployment in one call each, and answers.
import { formatRef } from "@remex/domain";
import type { AgentBeat, MonitorEvent } from "@remex/proto/health/v1";
import type { LeaseBeat, LeaseVerdict, RenewReply } from "@remex/store";
import { answerEvent, leaseBeatOf } from "./beat-wire.ts";
import { type IdleBeat, idleBeatOf } from "./monitor-metrics.ts";

/** Where the answers to a beat go. */
export interface BeatSource {
  send(events: readonly MonitorEvent[]): void;
}

export interface BeatBatcherDeps {
  renew(deployment: string, beats: readonly LeaseBeat[]): Promise<RenewReply>;
  epoch(): string;
  /** A beat changed an agent's health. */
  onVerdicts(deployment: string, verdicts: readonly LeaseVerdict[]): void;
  /** A beat renewed nothing. */
  onIdleBeat(reason: IdleBeat): void;
  /** The store did not take a batch: nobody in it is answered (L1). */
  onFailure(deployment: string, error: unknown): void;
}

interface Waiting {
  readonly source: BeatSource;
  readonly relayed: AgentBeat;
  readonly beat: LeaseBeat;
}

export interface BeatBatcher {
  /** Takes beats of one link; those that break the contract are dropped and counted. */
  add(source: BeatSource, beats: readonly AgentBeat[]): void;
  /** Beats dropped because they broke the contract. */
  readonly malformed: number;
}

/** Most beats of one call, so that one call never keeps Redis busy for long. */
const mostPerCall = 1_000;

export function createBeatBatcher(deps: BeatBatcherDeps): BeatBatcher {
  return new RenewingBatcher(deps);
}

class RenewingBatcher implements BeatBatcher {
  readonly #deps: BeatBatcherDeps;
  readonly #waiting = new Map<string, Waiting[]>();
  readonly #renewing = new Set<string>();
  #malformed = 0;

  constructor(deps: BeatBatcherDeps) {
    this.#deps = deps;
  }

  add(source: BeatSource, beats: readonly AgentBeat[]): void {
    for (const relayed of beats) {
      const beat = leaseBeatOf(relayed);
      if (beat === undefined) this.#dropMalformed();
      else append(this.#waiting, relayed.deployment, { source, relayed, beat });
    }
    for (const deployment of this.#waiting.keys()) {
      if (this.#renewing.has(deployment)) continue;
      this.#renewing.add(deployment);
      // The rest of this turn's beats join the batch.
      setImmediate(() => void this.#drain(deployment));
    }
  }

  #dropMalformed(): void {
    this.#malformed += 1;
    this.#deps.onIdleBeat("malformed");
  }

  get malformed(): number {
    return this.#malformed;
  }

  // One call at a time per deployment: what arrives meanwhile is the next call's batch.
  async #drain(deployment: string): Promise<void> {
    try {
      for (;;) {
        const batch = this.#take(deployment);
        if (batch.length === 0) return;
        await this.#renew(deployment, batch);
      }
    } finally {
      this.#renewing.delete(deployment);
    }
  }

  #take(deployment: string): Waiting[] {
    const all = this.#waiting.get(deployment) ?? [];
    const batch = all.slice(0, mostPerCall);
    if (batch.length === all.length) this.#waiting.delete(deployment);
    else this.#waiting.set(deployment, all.slice(mostPerCall));
    return batch;
  }

  async #renew(deployment: string, batch: readonly Waiting[]): Promise<void> {
    try {
      const beats = batch.map(({ beat }) => beat);
      // An acknowledgement names the epoch that its lease was renewed in, whatever has begun meanwhile (D2).
      const epoch = this.#deps.epoch();
      const reply = await this.#deps.renew(deployment, beats);
      if (reply.kind === "refused") this.#deps.onFailure(deployment, new Error(reply.reason));
      else this.#answer(deployment, batch, reply, epoch);
    } catch (error) {
      this.#deps.onFailure(deployment, error);
    }
  }

  #answer(
    deployment: string,
    batch: readonly Waiting[],
    reply: Extract<RenewReply, { kind: "renewed" }>,
    epoch: string,
  ): void {
    const settings = { epoch, intervalVersion: reply.intervalVersion };
    const perSource = new Map<BeatSource, MonitorEvent[]>();
    const verdicts: LeaseVerdict[] = [];
    batch.forEach(({ source, relayed, beat }, index) => {
      const given = reply.answers[index];
      if (given === undefined) return;
      const idle = idleBeatOf(beat.sequence, given);
      if (idle !== undefined) this.#deps.onIdleBeat(idle);
      const event = answerEvent(relayed, given, settings);
      if (event !== undefined) append(perSource, source, event);
      if (given.kind === "taken" && given.changed) {
        const { health, reason } = given;
        verdicts.push({ agent: beat.agent, session: formatRef(beat.session), health, reason });
      }
    });
    for (const [source, events] of perSource) source.send(events);
    if (verdicts.length > 0) this.#deps.onVerdicts(deployment, verdicts);
  }
}

function append<Key, Item>(map: Map<Key, Item[]>, key: Key, item: Item): void {
  const items = map.get(key);
  if (items === undefined) map.set(key, [item]);
  else items.push(item);
}
