// SPDX-License-Identifier: Apache-2.0
// Waits at the terminal until tasks have ended: a line per change, then the tasks as they ended.

import { type Task, TaskSchema, TaskState, waitForTasks } from "@remex/client";
import { messageJson, messagesJson } from "./answer.ts";
import { CliError } from "./cli-error.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import type { GatewayCall } from "./gateway-call.ts";
import { listTable } from "./table.ts";
import { changeText, taskColumns } from "./task-view.ts";

/** A control plane that is being restarted is back by then. */
const giveUpAfterMs = 300_000;

export async function awaitTasks(
  call: GatewayCall,
  tasks: readonly string[],
  single: boolean,
): Promise<ExitCode> {
  const { client, deployment, world } = call;
  const interrupt = world.onInterrupt();
  let told = "";
  try {
    const ended = await waitForTasks(client, {
      deployment,
      tasks,
      giveUpAfterMs,
      signal: interrupt.signal,
      onChange: (change) => {
        const line = changeText(change);
        if (line !== told) call.progress(line);
        told = line;
      },
      onTrouble: (error) => call.warn(`${error.message}; trying again`),
    });
    if (interrupt.signal.aborted) return stillRunning(call, tasks.length - ended.size);
    return await report(call, tasks, ended, single);
  } finally {
    interrupt.release();
  }
}

function stillRunning(call: GatewayCall, count: number): ExitCode {
  call.progress(`no longer waiting; ${count === 1 ? "the task goes" : `${count} tasks go`} on`);
  call.suggest(`end them with: remex tasks cancel TASK...${call.at}`);
  return exitCodes.interrupted;
}

async function report(
  call: GatewayCall,
  ids: readonly string[],
  ended: ReadonlyMap<string, Task>,
  single: boolean,
): Promise<ExitCode> {
  const tasks = ids.flatMap((id) => ended.get(id) ?? []);
  const nowMs = call.world.nowMs();
  const [first] = tasks;
  await call.answer({
    data: () =>
      single && first !== undefined
        ? messageJson(TaskSchema, first)
        : messagesJson(TaskSchema, tasks),
    table: () => listTable(taskColumns(nowMs), tasks),
  });
  const missing = ids.filter((id) => !ended.has(id));
  if (missing.length > 0) {
    throw new CliError(
      `${missing.join(", ")}: gone before the end was seen; how it ended is unknown`,
      exitCodes.notFound,
      "if the control plane's Redis was lost, submit again under the same key: what runs is not started twice",
    );
  }
  const failed = tasks.find((task) => task.state !== TaskState.SUCCEEDED);
  if (failed === undefined) return exitCodes.ok;
  call.suggest(`read what it wrote: remex tasks logs ${failed.task}${call.at}`);
  return exitCodes.taskFailed;
}
