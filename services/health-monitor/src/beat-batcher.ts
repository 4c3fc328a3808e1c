// SPDX-License-Identifier: Apache-2.0
// Gathers the beats of one turn, renews them deployment by deployment in one call each, and answers.
import { formatRef } from "@remex/domain";
import type { AgentBeat, MonitorEvent } from "@remex/proto/health/v1";
import type { LeaseBeat, LeaseVerdict, RenewReply } from "@remex/store";
import { answerEvent, leaseBeatOf } from "./beat-wire.ts";

/** Where the answers to a beat go. */
export interface BeatSource {
  send(events: readonly MonitorEvent[]): void;
}

export interface BeatBatcherDeps {
  renew(deployment: string, beats: readonly LeaseBeat[]): Promise<RenewReply>;
  epoch(): string;
  /** A beat changed an agent's health. */
  onVerdicts(deployment: string, verdicts: readonly LeaseVerdict[]): void;
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
  const waiting = new Map<string, Waiting[]>();
  const renewing = new Set<string>();
  let malformed = 0;

  // One call at a time per deployment: what arrives meanwhile is the next call's batch.
  async function drain(deployment: string): Promise<void> {
    renewing.add(deployment);
    try {
      for (let batch = take(deployment); batch.length > 0; batch = take(deployment)) {
        await renew(deployment, batch);
      }
    } finally {
      renewing.delete(deployment);
    }
  }

  function take(deployment: string): Waiting[] {
    const all = waiting.get(deployment) ?? [];
    const batch = all.slice(0, mostPerCall);
    if (batch.length === all.length) waiting.delete(deployment);
    else waiting.set(deployment, all.slice(mostPerCall));
    return batch;
  }

  async function renew(deployment: string, batch: readonly Waiting[]): Promise<void> {
    try {
      const beats = batch.map(({ beat }) => beat);
      const reply = await deps.renew(deployment, beats);
      if (reply.kind === "refused") deps.onFailure(deployment, new Error(reply.reason));
      else answer(deployment, batch, reply);
    } catch (error) {
      deps.onFailure(deployment, error);
    }
  }

  function answer(
    deployment: string,
    batch: readonly Waiting[],
    reply: Extract<RenewReply, { kind: "renewed" }>,
  ): void {
    const settings = { epoch: deps.epoch(), intervalVersion: reply.intervalVersion };
    const perSource = new Map<BeatSource, MonitorEvent[]>();
    const verdicts: LeaseVerdict[] = [];
    batch.forEach(({ source, relayed, beat }, index) => {
      const given = reply.answers[index];
      if (given === undefined) return;
      const event = answerEvent(relayed, given, settings);
      if (event !== undefined) append(perSource, source, event);
      if (given.kind === "taken" && given.changed) {
        const { health, reason } = given;
        verdicts.push({ agent: beat.agent, session: formatRef(beat.session), health, reason });
      }
    });
    for (const [source, events] of perSource) source.send(events);
    if (verdicts.length > 0) deps.onVerdicts(deployment, verdicts);
  }

  return {
    add(source, beats) {
      for (const relayed of beats) {
        const beat = leaseBeatOf(relayed);
        if (beat === undefined) malformed += 1;
        else append(waiting, relayed.deployment, { source, relayed, beat });
      }
      for (const deployment of waiting.keys()) {
        if (renewing.has(deployment)) continue;
        renewing.add(deployment);
        // The rest of this turn's beats join the batch.
        setImmediate(() => void drain(deployment));
      }
    },
    get malformed() {
      return malformed;
    },
  };
}

function append<Key, Item>(map: Map<Key, Item[]>, key: Key, item: Item): void {
  const items = map.get(key);
  if (items === undefined) map.set(key, [item]);
  else items.push(item);
}
