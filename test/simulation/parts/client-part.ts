// SPDX-License-Identifier: Apache-2.0
// A program that submits tasks and cancels them, as an executor would: safe calls are repeated until answered.

import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { OnCut, OnLost, TaskSpecSchema } from "@remex/proto/common/v1";
import { TaskService, TaskState } from "@remex/proto/scheduler/v1";
import { createServiceTransport } from "@remex/transport";
import { taskIdOf } from "../../../services/scheduler/src/submission.ts";
import type { SimProcess, World } from "../engine/world.ts";
import { simulationKey } from "./addresses.ts";
import { type TaskBehaviour, taskCommand } from "./task-program.ts";

/** A task as the plan of a seed has it. */
export interface PlannedTask extends TaskBehaviour {
  readonly key: string;
  readonly queue: string;
  readonly onCut: "CONTINUE" | "ABORT";
  readonly onLost: "REQUEUE" | "FAIL";
  readonly slotCost: number;
  readonly priority: number;
  readonly maxRetries: number;
  readonly maxRecoveries: number;
  readonly requiredLabels: Readonly<Record<string, string>>;
}

export interface ClientPart {
  readonly process: SimProcess;
  submit(deployment: string, task: PlannedTask): string;
  cancel(deployment: string, task: string): void;
  /** Asks for tasks once: whether each lives or has ended; one that is not told is unknown. */
  states(
    deployment: string,
    tasks: readonly string[],
    answered: (states: ReadonlyMap<string, "lives" | "ended">) => void,
  ): void;
}

export interface ClientWatcher {
  /** A submission was answered: from now on the control plane has promised it. */
  acknowledged(task: string, planned: PlannedTask): void;
  refused(task: string, why: string): void;
  cancelAnswered(task: string, state: number): void;
}

const retryMs = 400;
const ended: ReadonlySet<TaskState> = new Set([
  TaskState.SUCCEEDED,
  TaskState.FAILED,
  TaskState.CANCELED,
]);

export function startClient(deps: {
  readonly world: World;
  readonly watcher: ClientWatcher;
  /** Addresses of the schedulers, living or not. */
  schedulers(): readonly string[];
}): ClientPart {
  const { world, watcher } = deps;
  const process = world.createProcess("client#1", "client");

  /** Calls one scheduler after the other until one of them has answered. */
  function persist(
    what: string,
    call: (tasks: ReturnType<typeof clientOf>) => Promise<void>,
  ): void {
    const attempt = (): void => {
      const address = process.random.pick(deps.schedulers());
      call(clientOf(address)).catch(() => {
        world.after(retryMs, process, what, attempt);
      });
    };
    world.after(0, process, what, attempt);
  }

  function clientOf(address: string) {
    const key = () => simulationKey;
    const transport = createServiceTransport({ baseUrl: address, role: "gateway", key });
    return createClient(TaskService, transport);
  }

  return {
    process,
    submit(deployment, planned) {
      const task = taskIdOf(deployment, planned.key);
      persist("submit", async (tasks) => {
        const submission = { idempotencyKey: planned.key, spec: specOf(planned) };
        const reply = await tasks.submitTasks(
          { deployment, tasks: [submission] },
          { timeoutMs: 5_000 },
        );
        const result = reply.results[0];
        if (result?.refusal !== undefined) watcher.refused(task, result.refusal.code);
        else watcher.acknowledged(task, planned);
      });
      return task;
    },
    states(deployment, tasks, answered) {
      world.after(0, process, "states", () => {
        const call = clientOf(process.random.pick(deps.schedulers()));
        call.batchGetTasks({ deployment, tasks: [...tasks] }, { timeoutMs: 2_000 }).then(
          (reply) =>
            answered(
              new Map(
                reply.tasks.map(({ task, state }) => [task, ended.has(state) ? "ended" : "lives"]),
              ),
            ),
          // Asked again soon.
          () => undefined,
        );
      });
    },
    cancel(deployment, task) {
      persist("cancel", async (tasks) => {
        const reply = await tasks.cancelTasks({ deployment, tasks: [task] }, { timeoutMs: 5_000 });
        watcher.cancelAnswered(task, reply.results[0]?.state ?? 0);
      });
    },
  };
}

function specOf(planned: PlannedTask) {
  return create(TaskSpecSchema, {
    queue: planned.queue,
    slotCost: planned.slotCost,
    priority: planned.priority,
    maxRetries: planned.maxRetries,
    maxRecoveries: planned.maxRecoveries,
    requiredLabels: { ...planned.requiredLabels },
    onCut: planned.onCut === "ABORT" ? OnCut.ABORT : OnCut.CONTINUE,
    onLost: planned.onLost === "FAIL" ? OnLost.FAIL : OnLost.REQUEUE,
    work: { case: "command", value: { argv: taskCommand(planned) } },
  });
}
