// SPDX-License-Identifier: Apache-2.0
// What an operator does in a test: a deployment, a token, tasks, and waiting for what becomes of them.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import type { TaskSpecSchema } from "@remex/proto/common/v1";
import {
  AgentService,
  BrakeService,
  DeploymentService,
  GroupService,
  type DeploymentSettingsSchema,
  QueueService,
} from "@remex/proto/registry/v1";
import { type Task, TaskService, TaskState } from "@remex/proto/scheduler/v1";
import { AgentTokenService } from "@remex/proto/token/v1";
import type { ControlPlane } from "./control-plane.ts";
import { waitFor } from "./wait.ts";

const ended = new Set([TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELED]);

/** Typed clients with one operator key, bound to one deployment where that helps. */
export function operatorOf(plane: ControlPlane, deployment: string, key = plane.adminKey) {
  const withKey: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${key}`);
    return next(request);
  };
  const transport: Transport = createConnectTransport({
    baseUrl: plane.url,
    httpVersion: "1.1",
    interceptors: [withKey],
  });
  const tasks = createClient(TaskService, transport);
  const agents = createClient(AgentService, transport);
  const deployments = createClient(DeploymentService, transport);
  const tokens = createClient(AgentTokenService, transport);
  return {
    transport,
    tasks,
    agents,
    deployments,
    tokens,
    queues: createClient(QueueService, transport),
    groups: createClient(GroupService, transport),
    brakes: createClient(BrakeService, transport),
    createDeployment: (settings: MessageInitShape<typeof DeploymentSettingsSchema> = {}) =>
      deployments.createDeployment({ deployment, settings }),
    createToken: async (name: string): Promise<string> => {
      const expiry = { case: "neverExpires", value: true } as const;
      return (await tokens.createAgentToken({ deployment, name, expiry })).value;
    },
    /** Submits one task and returns its id. */
    submit: async (
      spec: MessageInitShape<typeof TaskSpecSchema>,
      idempotencyKey = "",
    ): Promise<string> => {
      const { results } = await tasks.submitTasks({
        deployment,
        tasks: [{ spec, idempotencyKey }],
      });
      const [result] = results;
      if (!result || result.refusal) throw new Error(result?.refusal?.message ?? "no answer");
      return result.task;
    },
    /** Waits until a task fits. */
    until: (task: string, fits: (task: Task) => boolean, what: string, timeoutMs = 60_000) =>
      waitFor(
        async () => {
          const { task: read } = await tasks.getTask({ deployment, task });
          if (read && fits(read)) return read;
          throw new Error(`task ${task} is ${TaskState[read?.state ?? 0]} ${read?.reason ?? ""}`);
        },
        { what, timeoutMs },
      ),
    /** Waits until a task has ended. */
    untilEnded: async (task: string, timeoutMs = 60_000): Promise<Task> =>
      waitFor(
        async () => {
          const { task: read } = await tasks.getTask({ deployment, task });
          if (read && ended.has(read.state)) return read;
          throw new Error(`task ${task} is ${TaskState[read?.state ?? 0]}`);
        },
        { what: `end of ${task}`, timeoutMs },
      ),
  };
}
