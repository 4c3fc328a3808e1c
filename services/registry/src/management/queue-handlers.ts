// SPDX-License-Identifier: Apache-2.0
// QueueService: declares, lists and removes the queues of a deployment (R3).

import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { parseQueueName, RemexError, remexError } from "@remex/domain";
import {
  CreateQueueResponseSchema,
  DeleteQueueResponseSchema,
  ListQueuesResponseSchema,
  type Queue,
  QueueSchema,
  type QueueService,
} from "@remex/proto/registry/v1";
import { type QueueRecord, type Records, withRecords } from "@remex/records";
import type { Clock } from "@remex/runtime";
import type { DeploymentStore } from "@remex/store";
import { parsePrintable } from "./printable.ts";
import type { Projector } from "./projector.ts";
import {
  loadQueueDepths,
  loadQueueLoads,
  type QueueLoad,
  type QueueLoadDeps,
} from "./queue-load.ts";

export interface QueueHandlerDeps extends QueueLoadDeps {
  readonly records: Pick<Records, "deployments" | "queues">;
  readonly store: Pick<DeploymentStore, "load">;
  readonly projector: Pick<Projector, "project">;
  readonly clock: Clock;
}

const longestDescription = 256;

export function createQueueHandlers(deps: QueueHandlerDeps): ServiceImpl<typeof QueueService> {
  return {
    createQueue: async (request) => {
      const record = await createQueue(deps, request);
      await deps.projector.project(request.deployment);
      const loads = await loadQueueLoads(deps, request.deployment);
      return create(CreateQueueResponseSchema, {
        queue: queueToMessage(record, loads?.(record.queue)),
      });
    },
    listQueues: async ({ deployment }) => {
      const records = await withRecords(deps.records.queues.list(deployment));
      // Every deployment has the queue "default", so that no queue means no deployment.
      if (records.length === 0) throw remexError("deployment_unknown", { deployment });
      const loads = await loadQueueLoads(deps, deployment);
      return create(ListQueuesResponseSchema, {
        queues: records.map((record) => queueToMessage(record, loads?.(record.queue))),
      });
    },
    deleteQueue: async ({ deployment, queue }) => {
      await deleteQueue(deps, deployment, queue);
      return create(DeleteQueueResponseSchema);
    },
  };
}

async function createQueue(
  deps: QueueHandlerDeps,
  request: { readonly deployment: string; readonly queue: string; readonly description: string },
): Promise<QueueRecord> {
  const { deployment, queue } = request;
  const name = parseQueueName(queue);
  if (!name.ok) throw new RemexError(name.failure);
  const result = await withRecords(
    deps.records.queues.create({
      deployment,
      queue,
      description: parsePrintable("description", request.description, longestDescription),
      createdAtMs: deps.clock.wallMs(),
    }),
  );
  switch (result.kind) {
    case "deployment_unknown":
      throw remexError("deployment_unknown", { deployment });
    case "limit":
      throw remexError("queue_limit", { deployment, limit: result.limit });
    case "exists":
      // A repeat after `recorded_not_in_effect` is the same create and not a second one.
      if (await isInEffect(deps, deployment, queue)) {
        throw remexError("queue_exists", { deployment, queue });
      }
      return result.record;
    case "created":
      return result.record;
  }
}

async function isInEffect(
  deps: QueueHandlerDeps,
  deployment: string,
  queue: string,
): Promise<boolean> {
  // While Redis is away nothing is in effect, and the projection that follows says so.
  const config = await deps.store.load(deployment).catch(() => undefined);
  return config?.queues.includes(queue) ?? false;
}

/**
 * Takes the queue away and looks again: a task that came between the first look and the projection is
 * found by the second, since after the projection none can come, and then the queue is put back.
 */
async function deleteQueue(
  deps: QueueHandlerDeps,
  deployment: string,
  queue: string,
): Promise<void> {
  const records = await withRecords(deps.records.queues.list(deployment));
  if (records.length === 0) throw remexError("deployment_unknown", { deployment });
  const record = records.find((candidate) => candidate.queue === queue);
  if (record !== undefined) await requireEmpty(deps, deployment, queue);
  const result = await withRecords(deps.records.queues.delete(deployment, queue));
  switch (result) {
    case "deployment_unknown":
      throw remexError("deployment_unknown", { deployment });
    case "unknown":
      throw remexError("queue_unknown", { deployment, queue });
    case "is_default":
      throw remexError("queue_is_default");
    case "deleted":
      await deps.projector.project(deployment);
  }
  try {
    await requireEmpty(deps, deployment, queue);
  } catch (error) {
    if (record !== undefined) await withRecords(deps.records.queues.create(record));
    await deps.projector.project(deployment);
    throw error;
  }
}

async function requireEmpty(
  deps: QueueHandlerDeps,
  deployment: string,
  queue: string,
): Promise<void> {
  const depths = await loadQueueDepths(deps.tasks, deployment);
  const tasks = depths.get(queue) ?? 0;
  if (tasks > 0) throw remexError("queue_not_empty", { deployment, queue, tasks });
}

function queueToMessage(record: QueueRecord, load?: QueueLoad): Queue {
  return create(QueueSchema, {
    deployment: record.deployment,
    queue: record.queue,
    description: record.description,
    createdAt: timestampFromMs(record.createdAtMs),
    ...(load === undefined ? {} : { queuedTasks: BigInt(load.queuedTasks), agents: load.agents }),
  });
}
