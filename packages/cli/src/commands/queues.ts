// SPDX-License-Identifier: Apache-2.0
// `remex queues`: create, list, delete.

import { type Queue, QueueSchema } from "@remex/client";
import type { Command } from "commander";
import { messageJson, messagesJson } from "../answer.ts";
import { addGroup, withExamples } from "../command-kit.ts";
import { addCommonOptions } from "../common-options.ts";
import type { Runner } from "../gateway-call.ts";
import { ageOf } from "../instants.ts";
import { type Column, listTable } from "../table.ts";

export function addQueueCommands(program: Command, runner: Runner): void {
  const group = addGroup(
    program,
    "queues",
    "The queues of a deployment: a task waits in one, an agent listens on some.",
  );
  addCreate(group, runner);
  addList(group, runner);
  addDelete(group, runner);
}

function addCreate(group: Command, runner: Runner): void {
  const create = group
    .command("create <queue>")
    .description("Declares a queue; needs an operator key.")
    .option("--description <text>", "text for people");
  addCommonOptions(create);
  withExamples(create, 'remex queues create gpu --description "machines with a GPU"');
  create.action((queue: string, options: { description?: string }) =>
    runner.run(create, async ({ client, deployment, answer, suggest, world }) => {
      const { description = "" } = options;
      const made = await client.queues.createQueue({ deployment, queue, description });
      const message = made.queue;
      if (message === undefined) throw new Error("the answer holds no queue");
      await answer({
        data: () => messageJson(QueueSchema, message),
        table: () => listTable(columns(world.nowMs()), [message]),
      });
      suggest(`let agents listen on it: remex-agent --queues ${queue}`);
      return undefined;
    }),
  );
}

function addList(group: Command, runner: Runner): void {
  const list = group
    .command("list")
    .description("Lists the queues with the tasks that wait in them and the agents that listen.");
  addCommonOptions(list);
  withExamples(list, "remex queues list --deployment analytics");
  list.action(() =>
    runner.run(list, async ({ client, deployment, answer, world }) => {
      const { queues } = await client.queues.listQueues({ deployment });
      await answer({
        data: () => messagesJson(QueueSchema, queues),
        table: () => listTable(columns(world.nowMs()), queues),
      });
      return undefined;
    }),
  );
}

function addDelete(group: Command, runner: Runner): void {
  const remove = group
    .command("delete <queue>")
    .description("Removes a queue that holds no task; needs an operator key.");
  addCommonOptions(remove);
  withExamples(remove, "remex queues delete gpu");
  remove.action((queue: string) =>
    runner.run(remove, async ({ client, deployment, answer }) => {
      await client.queues.deleteQueue({ deployment, queue });
      await answer({
        data: () => ({ deployment, queue }),
        table: () => `queue ${queue} of deployment ${deployment} is deleted\n`,
      });
      return undefined;
    }),
  );
}

function columns(nowMs: number): Column<Queue>[] {
  return [
    { heading: "QUEUE", cell: (each) => each.queue },
    { heading: "WAITING", cell: (each) => String(each.queuedTasks ?? "?") },
    { heading: "AGENTS", cell: (each) => String(each.agents ?? "?") },
    { heading: "AGE", cell: (each) => ageOf(each.createdAt, nowMs) },
    { heading: "DESCRIPTION", cell: (each) => each.description },
  ];
}
