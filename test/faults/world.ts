// SPDX-License-Identifier: Apache-2.0
// What is harmed: a control plane of two replicas each, agents behind a network that can fail, and work.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { AgentHealth } from "@remex/proto/health/v1";
import type { DeploymentSettingsSchema } from "@remex/proto/registry/v1";
import { type ControlPlane, type Layout, startControlPlane } from "../kit/control-plane.ts";
import { operatorOf } from "../kit/operator.ts";
import { createTempDir } from "../kit/places.ts";
import { waitFor } from "../kit/wait.ts";
import { type Judgement, judge } from "./checker.ts";
import { type FinalTask, readJournals } from "./history.ts";
import { type Recorder, startRecorder } from "./recorder.ts";
import { createSiteAgent, type SiteAgent } from "./site.ts";
import { startTcpProxy, type TcpProxy } from "./tcp-proxy.ts";

const deployment = "faults";
const taskFile = fileURLToPath(new URL("./task.py", import.meta.url));
const ended: ReadonlySet<string> = new Set(["SUCCEEDED", "FAILED", "CANCELED"]);

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
  const submitted: string[] = [];
  const healthy = async () =>
    (await operator.agents.listAgents({ deployment })).agents.filter(
      ({ health }) => health === AgentHealth.HEALTHY,
    ).length;
  await waitFor(async () => (await healthy()) === options.agents, { what: "healthy agents" });

  let number = 0;
  /** Repeated with the same key until it is acknowledged: that is the promise that is tested. */
  async function submitOne(): Promise<void> {
    const own = number++;
    const seconds = String(options.taskSeconds(own));
    const argv = ["python3", "-S", "-E", taskFile, journals, seconds];
    const spec = { maxRecoveries: 500, work: commandOf(argv) };
    submitted.push(
      await waitFor(() => operator.submit(spec, `task-${own}`), {
        what: `acknowledgement of task ${own}`,
        timeoutMs: 120_000,
      }),
    );
  }

  /** Ids that have not been heard to end. */
  function unfinished(): number {
    const done = new Set(
      recorder.changes.filter(({ state }) => ended.has(state)).map((c) => c.task),
    );
    return submitted.filter((task) => !done.has(task)).length;
  }

  async function finals(): Promise<FinalTask[]> {
    const found = await recorder.read(submitted);
    const open = found.filter(({ state }) => !ended.has(state));
    if (open.length + submitted.length - found.length === 0) return found;
    throw new Error(
      `${open.length} tasks are open, ${submitted.length - found.length} unknown: ${JSON.stringify(open.slice(0, 3))}`,
    );
  }

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
        if (unfinished() < most) await submitOne();
        else await new Promise((resolve) => setTimeout(resolve, 20));
      }
      await until;
    },
    judge: async (healMs) => {
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

function commandOf(argv: string[]) {
  return { case: "command" as const, value: { argv } };
}
