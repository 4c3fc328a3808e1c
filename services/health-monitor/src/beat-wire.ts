// SPDX-License-Identifier: Apache-2.0
// Beats, acknowledgements and verdicts between the contract's form and the store's.
import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  type AgentHealthWord,
  agentHealths,
  refFromWire,
  refToWire,
  requireRef,
} from "@remex/domain";
import { type Beat, type Capabilities, RunnerState } from "@remex/proto/agent/v1";
import { type AgentBeat, type MonitorEvent, MonitorEventSchema } from "@remex/proto/health/v1";
import type { BeatAnswer, LeaseBeat, LeaseVerdict, SessionFacts } from "@remex/store";

const runnerStates: Readonly<Record<number, LeaseBeat["runnerState"]>> = {
  [RunnerState.READY]: "READY",
  [RunnerState.STARTING]: "STARTING",
};

/** The beat as the store judges it; undefined when it names no session or counts beyond what is safe. */
export function leaseBeatOf(relayed: AgentBeat): LeaseBeat | undefined {
  const { beat } = relayed;
  const session = refFromWire(relayed.session);
  if (beat === undefined || session === undefined || beat.sequence > maxSafe) return undefined;
  return {
    agent: relayed.agent,
    session,
    generation: Number(relayed.generation),
    sequence: Number(beat.sequence),
    intervalVersion: Number(beat.intervalVersion),
    loopTurns: Number(beat.loopTurns),
    loopAgeMs: loopAgeMs(beat),
    runnerState: runnerStates[beat.runnerState] ?? "LOST",
    slotsUsed: beat.slotsUsed,
    ...(beat.capabilities === undefined ? {} : { capabilities: factsOf(beat.capabilities) }),
  };
}

const maxSafe = BigInt(Number.MAX_SAFE_INTEGER);

function loopAgeMs(beat: Beat): number {
  return beat.loopAge === undefined ? 0 : Math.max(0, durationMs(beat.loopAge));
}

function factsOf(capabilities: Capabilities): Partial<SessionFacts> {
  const { queues, labels, slots, group, runtimes, runtimeVersions } = capabilities;
  return { queues, labels, slots, group, runtimes, runtimeVersions };
}

/** What the registry is answered; undefined for a beat of an older stream, which gets no answer. */
export function answerEvent(
  relayed: AgentBeat,
  answer: BeatAnswer,
  settings: { readonly epoch: string; readonly intervalVersion: number },
): MonitorEvent | undefined {
  const { deployment, agent, session } = relayed;
  const about = { deployment, agent, ...(session === undefined ? {} : { session }) };
  switch (answer.kind) {
    case "taken":
      return create(MonitorEventSchema, {
        event: {
          case: "acknowledged",
          value: {
            ...about,
            ack: {
              sequence: BigInt(answer.sequence),
              epoch: BigInt(settings.epoch),
              intervalVersion: BigInt(settings.intervalVersion),
            },
            healthy: answer.health === "HEALTHY",
          },
        },
      });
    case "ending":
    case "ended": {
      const ending = answer.kind === "ending";
      const value = { ...about, ending, reason: answer.reason };
      return create(MonitorEventSchema, { event: { case: "refused", value } });
    }
    case "old_stream":
      return undefined;
  }
}

/** The number that the contract gives a health. */
function healthNumber(health: AgentHealthWord): number {
  return agentHealths.indexOf(health);
}

/** A verdict as every link is told it. */
export function verdictEvent(deployment: string, verdict: LeaseVerdict): MonitorEvent {
  return create(MonitorEventSchema, {
    event: {
      case: "verdict",
      value: {
        deployment,
        agent: verdict.agent,
        session: refToWire(requireRef(verdict.session)),
        health: healthNumber(verdict.health),
        reason: verdict.reason,
      },
    },
  });
}

/** The first event of every link. */
export function helloEvent(monitor: string): MonitorEvent {
  return create(MonitorEventSchema, { event: { case: "hello", value: { monitor } } });
}
