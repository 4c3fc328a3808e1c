// SPDX-License-Identifier: Apache-2.0
// Keeps Redis as the records say (PROTOCOL D6): at each change, and again with every sweep.

import { remexError } from "@remex/domain";
import type { DeploymentProjectionRecord, Records } from "@remex/records";
import type { CancelTimer, Clock, Logger } from "@remex/runtime";
import type { DeploymentStore } from "@remex/store";
import { configOf } from "./deployment-messages.ts";

export interface ProjectorDeps {
  readonly records: Pick<Records, "deployments">;
  readonly store: Pick<DeploymentStore, "project">;
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

  const projectRecord = async (record: DeploymentProjectionRecord): Promise<void> => {
    const result = await deps.store.project(configOf(record));
    if (result === "epoch_stale") {
      throw new Error(`the epoch that deployment ${record.deployment} was projected in is newer`);
    }
  };

  const sweep = async (): Promise<void> => {
    const records = await deps.records.deployments.listProjections();
    for (let at = 0; at < records.length; at += projectedAtOnce) {
      await Promise.all(records.slice(at, at + projectedAtOnce).map(projectRecord));
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
        await within(deps.clock, projectWithinMs, projectRecord(record));
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

function within<Result>(clock: Clock, limitMs: number, call: Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(limitMs, () => {
      reject(new Error(`no answer within ${limitMs} ms`));
    });
    call.then(resolve, reject).finally(cancel);
  });
}
