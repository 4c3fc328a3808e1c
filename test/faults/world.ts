// SPDX-License-Identifier: Apache-2.0
// What is harmed: a control plane of two replicas each, agents behind a network that can fail, and work.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { AgentHealth } from "@remex/proto/health/v1";
import type { DeploymentSettingsSchema } from "@remex/proto/registry/v1";
import { type ControlPlane, type Layout, startControlPlane } from "../kit/control-plane.ts";
import { operatorOf } from "../kit/operator.ts";
import { createTempDir } from "../kit/places.ts";
import { waitFor } from "../kit/wait.ts";
import { type Judgement, judge } from "./checker.ts";
import { readJournals } from "./history.ts";
import { type Recorder, startRecorder } from "./recorder.ts";
import { createSiteAgent, type SiteAgent } from "./site.ts";
import { startTcpProxy, type TcpProxy } from "./tcp-proxy.ts";
import { createWork } from "./work.ts";

const deployment = "faults";

/** Two of each service that agents and tasks depend on. */
export const twoOfEach: Layout = {
  processes: [
    ["token"],
    ["health-monitor"],
    ["health-monitor"],
    ["scheduler"],
    ["scheduler"],
    ["registry"],
    ["registry"],
    ["gateway"],
  ],
  redisArgs: ["--appendfsync", "always"],
};

export interface WorldOptions {
  readonly layout?: Layout;
  readonly agents: number;
  readonly slots?: number;
  readonly settings?: MessageInitShape<typeof DeploymentSettingsSchema>;
  /** How long each task runs, in seconds. */
  readonly taskSeconds: (number: number) => number;
  readonly onCut?: "CONTINUE" | "ABORT";
  /** Submits what has not ended again when the store lost its history, as Airflow's executor does. */
  readonly resubmit?: boolean;
}

export interface World extends AsyncDisposable {
  readonly plane: ControlPlane;
  readonly operator: ReturnType<typeof operatorOf>;
  readonly agents: readonly SiteAgent[];
  /** One network per agent. */
  readonly networks: readonly TcpProxy[];
  readonly recorder: Recorder;
  readonly journals: string;
  /** Tasks whose submission was acknowledged. */
  readonly submitted: readonly string[];
  /** Submits tasks until `until` resolves, at most `most` of them unfinished at once. */
  load(until: Promise<unknown>, most: number): Promise<void>;
  /** Agents that the control plane says are healthy. */
  healthy(): Promise<number>;
  /** Waits until every task has ended, and judges what happened. REMEX_FAULTS_HISTORY names a file to keep it in. */
  judge(healMs: number): Promise<Judgement>;
}

/** Intervals short enough that three missed ones pass in a test: H 2 s, AL 4 s, SL 6 s. */
export const quick = { heartbeatInterval: durationFromMs(2_000), stopTime: durationFromMs(1_000) };
export const quickLimitMs = 6_000;

export async function startWorld(options: WorldOptions): Promise<World> {
  const folder = await createTempDir();
  const journals = join(folder.path, "journals");
  mkdirSync(journals);
  const plane = await startControlPlane(options.layout ?? twoOfEach);
  const operator = operatorOf(plane, deployment);
  await operator.createDeployment(options.settings ?? quick);
  const token = await operator.createToken("faults");
  const doors = plane.processes
    .filter(({ roles }) => roles.includes("registry"))
    .map(({ agentsTarget }) => Number(agentsTarget.split(":").at(-1)));
  const networks: TcpProxy[] = [];
  const agents: SiteAgent[] = [];
  for (let i = 0; i < options.agents; i++) {
    const network = await startTcpProxy(doors);
    networks.push(network);
    agents.push(
      await createSiteAgent({
        port: network.port,
        token,
        name: `site-${i}`,
        slots: options.slots ?? 4,
      }),
    );
  }
  for (const agent of agents) agent.start();
  const recorder = startRecorder(plane.url, plane.adminKey, deployment);
  const healthy = async () =>
    (await operator.agents.listAgents({ deployment })).agents.filter(
      ({ health }) => health === AgentHealth.HEALTHY,
    ).length;
  await waitFor(async () => (await healthy()) === options.agents, { what: "healthy agents" });

  const work = createWork({ operator, recorder, journals, taskSeconds: options.taskSeconds });
  const { submitted } = work;

  return {
    plane,
    operator,
    agents,
    networks,
    recorder,
    journals,
    submitted,
    healthy,
    load: async (until, most) => {
      let over = false;
      void until.finally(() => {
        over = true;
      });
      while (!over) {
        if (options.resubmit) await work.submitLostAgain();
        if (work.unfinished().length < most) await work.submitOne();
        else await new Promise((resolve) => setTimeout(resolve, 20));
      }
      await until;
    },
    judge: async (healMs) => {
      const finals = async () => {
        if (options.resubmit) await work.submitLostAgain();
        return work.finals();
      };
      const final = await waitFor(finals, {
        what: "the end of every task",
        timeoutMs: healMs,
      }).catch(
        // I14 is judged by what there is.
        () => recorder.read(submitted),
      );
      await recorder.stop();
      const history = {
        submitted,
        journal: readJournals(journals),
        changes: recorder.changes,
        final,
      };
      const kept = process.env.REMEX_FAULTS_HISTORY;
      if (kept !== undefined) writeFileSync(kept, JSON.stringify(history));
      return judge(history, { onCut: options.onCut ?? "CONTINUE", slackMs: 150 });
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(agents.map((agent) => agent.stop()));
      await recorder.stop().catch(() => undefined);
      await plane.stop();
      for (const network of networks) await network[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
