// SPDX-License-Identifier: Apache-2.0
// An operator of the simulation: decisions on agents and settings, asked of registries until one answers.

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Client, createClient } from "@connectrpc/connect";
import { isRemexError } from "@remex/domain";
import { AgentService, DeploymentService } from "@remex/proto/registry/v1";
import { createServiceTransport } from "@remex/transport";
import type { World } from "../engine/world.ts";
import { simulationKey } from "./addresses.ts";

type Agents = Client<typeof AgentService>;
type Deployments = Client<typeof DeploymentService>;

export interface OperatorPart {
  cordon(agent: string): void;
  uncordon(agent: string): void;
  drain(agent: string, deadlineMs: number): void;
  remove(agent: string): void;
  restore(agent: string): void;
  setInterval(heartbeatMs: number): void;
}

const retryMs = 500;
/** Refusals that another try does not change. */
const final: ReadonlySet<string> = new Set([
  "failed_precondition",
  "not_found",
  "invalid_argument",
]);

export function startOperator(deps: {
  readonly world: World;
  readonly deployment: string;
  /** URLs of the registries, living or not. */
  readonly registries: readonly string[];
  onAnswer(what: string, answer: string): void;
}): OperatorPart {
  const { world, deployment } = deps;
  const process = world.createProcess("operator#1", "operator");
  const key = () => simulationKey;

  function persist(
    what: string,
    call: (agents: Agents, deployments: Deployments) => Promise<unknown>,
  ): void {
    const attempt = (): void => {
      const baseUrl = process.random.pick(deps.registries);
      const transport = createServiceTransport({ baseUrl, role: "gateway", key });
      call(createClient(AgentService, transport), createClient(DeploymentService, transport)).then(
        () => deps.onAnswer(what, "done"),
        (error: unknown) => {
          const refusal = isRemexError(error) ? error.connectCode : "";
          if (final.has(refusal)) deps.onAnswer(what, (error as Error).message);
          else world.after(retryMs, process, what, attempt);
        },
      );
    };
    world.after(0, process, what, attempt);
  }

  const onAgent = (name: "cordonAgent" | "uncordonAgent" | "restoreAgent") => (agent: string) =>
    persist(`${name} ${agent}`, (agents) =>
      agents[name]({ deployment, agent }, { timeoutMs: 3_000 }),
    );
  return {
    cordon: onAgent("cordonAgent"),
    uncordon: onAgent("uncordonAgent"),
    restore: onAgent("restoreAgent"),
    drain: (agent, deadlineMs) =>
      persist(`drainAgent ${agent}`, (agents) => {
        const request = { deployment, agent, deadline: durationFromMs(deadlineMs) };
        return agents.drainAgent(request, { timeoutMs: 3_000 });
      }),
    remove: (agent) =>
      persist(`deleteAgent ${agent}`, (agents) =>
        agents.deleteAgent({ deployment, agent, force: true, gone: false }, { timeoutMs: 3_000 }),
      ),
    setInterval: (heartbeatMs) =>
      persist(`interval ${heartbeatMs}`, (_agents, deployments) => {
        const settings = { heartbeatInterval: durationFromMs(heartbeatMs) };
        return deployments.updateDeployment({ deployment, settings }, { timeoutMs: 3_000 });
      }),
  };
}
