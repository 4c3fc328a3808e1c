// SPDX-License-Identifier: Apache-2.0
// Joins live sessions to monitors and schedulers: what each side says goes to the other's conduct.
import type { Clock, Logger } from "@remex/runtime";
import type { ReplicaRecord, SessionStore } from "@remex/store";
import type { LinkTarget } from "@remex/transport";
import { type AnswerWatch, createAnswerWatch } from "./links/answer-watch.ts";
import { type BeatRelay, createBeatRelay, type MonitorLink } from "./links/beat-relay.ts";
import { createWorkRelay, type SchedulerLink, type WorkRelay } from "./links/work-relay.ts";
import type { RegistryReadiness } from "./registry-readiness.ts";
import type { DeploymentConfigs } from "./session/deployment-configs.ts";
import type { LiveSessions } from "./session/live-sessions.ts";
import { SessionConduct } from "./session/session-conduct.ts";
import type { TokenChecks } from "./session/token-checks.ts";

export interface SessionLinksDeps {
  readonly replica: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly live: LiveSessions;
  readonly sessions: Pick<SessionStore, "leave">;
  readonly configs: DeploymentConfigs;
  readonly tokens: Pick<TokenChecks, "reauthenticate">;
  readonly readiness: RegistryReadiness;
  refreshSettings(deployment: string): void;
  listReplicas(role: string): Promise<ReplicaRecord[]>;
  /** Whether the registry at this address is fit: its beats are answered. */
  peerServes(address: string): Promise<boolean>;
  dialMonitor(target: LinkTarget, signal: AbortSignal): Promise<MonitorLink>;
  dialScheduler(target: LinkTarget, signal: AbortSignal): Promise<SchedulerLink>;
}

export interface SessionLinks {
  readonly conduct: SessionConduct;
  readonly beats: BeatRelay;
  readonly work: WorkRelay;
  readonly answers: AnswerWatch;
}

export function createSessionLinks(deps: SessionLinksDeps): SessionLinks {
  const { clock, log, live, configs, readiness } = deps;
  const onLinksChanged = () => readiness.links(beats.links, work.links);
  const conduct = new SessionConduct({
    ...{ log, sessions: deps.sessions, config: configs.known },
    beats: () => beats,
    work: () => work,
    reauthenticate: deps.tokens.reauthenticate,
    onSettingsBehind: deps.refreshSettings,
  });
  const answers = createAnswerWatch({
    ...{ clock, live: live.all },
    heartbeatMs: (deployment) => configs.known(deployment)?.heartbeatMs ?? Number.MAX_SAFE_INTEGER,
    othersAnswered: () => othersAnswered(deps),
    onOutdone: (outdone) => readiness.answers(!outdone),
    sendAway: (session) => conduct.goAway(session, "monitors_unreachable"),
  });
  const beats = createBeatRelay({
    ...{ clock, log, live, dial: deps.dialMonitor, onLinksChanged },
    onRelayed: answers.relayed,
    onAcknowledged(session, acknowledged) {
      answers.answered(session);
      conduct.acknowledged(session, acknowledged);
    },
    onRefused(session, refused) {
      answers.answered(session);
      conduct.refused(session, refused);
    },
    onVerdict: (session, verdict) => conduct.verdict(session, verdict),
  });
  const work = createWorkRelay({
    ...{ clock, log, live, dial: deps.dialScheduler, onLinksChanged },
    tell: (session, events, roughBytes) => conduct.tell(session, events, roughBytes),
  });
  return { conduct, beats, work, answers };
}

async function othersAnswered(deps: SessionLinksDeps): Promise<boolean> {
  const registries = await deps.listReplicas("registry").catch(() => []);
  const others = registries.filter(({ replica }) => replica !== deps.replica);
  const asked = others.map(({ address }) => deps.peerServes(address).catch(() => false));
  return (await Promise.all(asked)).includes(true);
}
