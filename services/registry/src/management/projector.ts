// SPDX-License-Identifier: Apache-2.0
// Keeps Redis as the records say (PROTOCOL D6): at each change, and again with every sweep.
//
// Operators' decisions on agents go first, the configuration after them: functions work only where the
// configuration carries their epoch, so nobody is let in, offered or confirmed before it is known who may
// not be (D2).

import { remexError } from "@remex/domain";
import type { DeploymentProjectionRecord, Records } from "@remex/records";
import type { CancelTimer, Clock, Logger } from "@remex/runtime";
import type { DeploymentStore, SessionStore } from "@remex/store";
import { configOf } from "./deployment-messages.ts";

export interface ProjectorDeps {
  readonly records: Pick<Records, "deployments" | "agentControls">;
  readonly store: Pick<DeploymentStore, "project">;
  readonly sessions: Pick<SessionStore, "loadControlsMarker" | "projectControls">;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Projector {
  /** Puts a recorded change into effect, or throws `recorded_not_in_effect`. */
  project(deployment: string): Promise<void>;
  /** Projects every deployment once; throws when the records or Redis are away. */
  sweep(): Promise<void>;
  start(): void;
  stop(): void;
  /** Why deployments may not be in effect; empty when the last sweep went through. */
  problems(): readonly string[];
}

const sweepEveryMs = 5_000;
/** A management call does not wait for Redis longer than this. */
const projectWithinMs = 3_000;
const projectedAtOnce = 50;

export function createProjector(deps: ProjectorDeps): Projector {
  let cancel: CancelTimer | undefined;
  let running = false;
  let problem: string | undefined = "deployments are not in effect in redis yet";

  const projectRecord = async (
    record: DeploymentProjectionRecord,
    controls: number,
  ): Promise<void> => {
    const { deployment } = record;
    const { decided, epoch } = await projectDecisions(deps, deployment, controls);
    const result =
      decided === "projected" ? await deps.store.project(configOf(record), epoch) : decided;
    if (result === "epoch_stale") {
      throw new Error(`the epoch that deployment ${deployment} was projected in is newer`);
    }
  };

  const sweep = async (): Promise<void> => {
    const records = await deps.records.deployments.listProjections();
    const revisions = await deps.records.agentControls.revisions();
    for (let at = 0; at < records.length; at += projectedAtOnce) {
      const some = records.slice(at, at + projectedAtOnce);
      await Promise.all(
        some.map((record) => projectRecord(record, revisions.get(record.deployment) ?? 0)),
      );
    }
    problem = undefined;
  };

  const sweepAndLog = async (): Promise<void> => {
    if (running) return;
    running = true;
    try {
      await sweep();
    } catch (err) {
      const message = "deployments cannot be put into effect; trying again";
      if (problem !== message) deps.log.warn({ err }, message);
      problem = message;
    } finally {
      running = false;
    }
  };

  return {
    project: async (deployment) => {
      const record = await deps.records.deployments.loadProjection(deployment);
      if (record === undefined) return;
      try {
        await within(deps.clock, projectWithinMs, projectRecord(record, Number.MAX_SAFE_INTEGER));
      } catch (cause) {
        const what = `deployment ${deployment}`;
        throw remexError("recorded_not_in_effect", { what }, { cause });
      }
    },
    sweep,
    start: () => {
      cancel ??= deps.clock.every(sweepEveryMs, () => void sweepAndLog());
      void sweepAndLog();
    },
    stop: () => {
      cancel?.();
      cancel = undefined;
    },
    problems: () => (problem === undefined ? [] : [problem]),
  };
}

/**
 * Brings what operators decided into effect, where Redis does not know all of it up to `revision`; says in
 * which epoch. The records are read after that epoch was known, so they hold what was in effect before it.
 */
async function projectDecisions(
  deps: Pick<ProjectorDeps, "records" | "sessions">,
  deployment: string,
  revision: number,
): Promise<{ decided: "projected" | "epoch_stale"; epoch: string }> {
  const marker = await deps.sessions.loadControlsMarker(deployment);
  const { epoch } = marker;
  const isWhole = (wanted: number) => marker.revision !== undefined && marker.revision >= wanted;
  if (isWhole(revision)) return { decided: "projected", epoch };
  const changes = await deps.records.agentControls.listChanges(deployment, marker.revision ?? 0);
  if (isWhole(changes.revision)) return { decided: "projected", epoch };
  return { decided: await deps.sessions.projectControls(deployment, changes, marker), epoch };
}

function within<Result>(clock: Clock, limitMs: number, call: Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(limitMs, () => {
      reject(new Error(`no answer within ${limitMs} ms`));
    });
    call.then(resolve, reject).finally(cancel);
  });
}
