// SPDX-License-Identifier: Apache-2.0
// `remex tasks`: list, get, explain, cancel; submit, logs and events are in files of their own.

import {
  CancelResultSchema,
  ExplainTaskResponseSchema,
  eachTask,
  failureOfDetail,
  type Task,
  TaskSchema,
  type TaskState,
} from "@remex/client";
import type { Command } from "commander";
import { messageJson, messagesJson } from "../answer.ts";
import { cliErrorOfRefusal, errorLines, usageError } from "../cli-error.ts";
import { addGroup, gatherList, withExamples } from "../command-kit.ts";
import { addCommonOptions } from "../common-options.ts";
import { parseCount } from "../duration-text.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import type { Runner } from "../gateway-call.ts";
import { factTable, listTable } from "../table.ts";
import { stateText, taskColumns, taskFacts } from "../task-view.ts";
import { oneLine } from "../terminal-text.ts";
import { taskStateWords, valueOfWord, wordsOf } from "../words.ts";
import { addSubmit } from "./submit.ts";
import { addEvents } from "./task-events.ts";
import { addLogs } from "./task-logs.ts";

export function addTaskCommands(program: Command, runner: Runner): void {
  const group = addGroup(program, "tasks", "The tasks of a deployment.");
  addSubmit(group, runner);
  addList(group, runner);
  addGet(group, runner);
  addExplain(group, runner);
  addLogs(group, runner);
  addEvents(group, runner);
  addCancel(group, runner);
}

interface ListOptions {
  readonly state?: readonly string[];
  readonly queue?: string;
  readonly agent?: string;
  readonly limit: string;
}

const pageSize = 500;

function addList(group: Command, runner: Runner): void {
  const words = wordsOf(taskStateWords).join(", ");
  const list = group
    .command("list")
    .description("Lists tasks, newest first.")
    .option("--state <state>", `only in this state, may be repeated: ${words}`, gatherList)
    .option("--queue <queue>", "only of this queue")
    .option("--agent <agent>", "only those whose current or last attempt is on this agent")
    .option("--limit <number>", "most tasks to show, 0 for all", "100");
  addCommonOptions(list);
  withExamples(
    list,
    "remex tasks list --state queued,assigned",
    "remex tasks list --agent a1 -o json",
  );
  list.action((options: ListOptions) =>
    runner.run(list, async ({ client, deployment, answer, suggest, world }) => {
      const limit = parseCount(options.limit, "--limit", 0, 1_000_000) || Number.POSITIVE_INFINITY;
      const tasks: Task[] = [];
      let more = false;
      const chosen = eachTask(client, {
        deployment,
        states: (options.state ?? []).map(parseState),
        queue: options.queue ?? "",
        agent: options.agent ?? "",
        pageSize: Math.min(pageSize, limit),
      });
      for await (const task of chosen) {
        more = tasks.length >= limit;
        if (more) break;
        tasks.push(task);
      }
      await answer({
        data: () => messagesJson(TaskSchema, tasks),
        table: () => listTable(taskColumns(world.nowMs()), tasks),
      });
      if (more) suggest(`there are more: --limit ${limit * 10}, or --limit 0 for all`);
      return undefined;
    }),
  );
}

function parseState(word: string): TaskState {
  const state = valueOfWord<TaskState>(taskStateWords, word);
  if (state === undefined) {
    const words = wordsOf(taskStateWords).join(", ");
    throw usageError(`--state: ${JSON.stringify(word)} is not one of ${words}`);
  }
  return state;
}

function addGet(group: Command, runner: Runner): void {
  const get = group
    .command("get <task>")
    .description("Shows a task with its work, its current or last attempt and its outcome.");
  addCommonOptions(get);
  withExamples(get, "remex tasks get t_6vpmk3l4o2", "remex tasks get t_6vpmk3l4o2 -o json");
  get.action((task: string) =>
    runner.run(get, async ({ client, deployment, answer, world }) => {
      const found = await client.tasks.getTask({ deployment, task, withWork: true });
      const message = found.task;
      if (message === undefined) throw new Error("the answer holds no task");
      await answer({
        data: () => messageJson(TaskSchema, message),
        table: () => factTable(taskFacts(message, world.nowMs())),
      });
      return undefined;
    }),
  );
}

function addExplain(group: Command, runner: Runner): void {
  const explain = group
    .command("explain <task>")
    .description(
      "Says why a task has not ended yet: who could run it, what keeps each of them from it, and who refused it.",
    );
  addCommonOptions(explain);
  withExamples(explain, "remex tasks explain t_6vpmk3l4o2");
  explain.action((task: string) =>
    runner.run(explain, async ({ client, deployment, answer }) => {
      const found = await client.tasks.explainTask({ deployment, task });
      const state = found.task === undefined ? "unknown" : stateText(found.task);
      await answer({
        data: () => messageJson(ExplainTaskResponseSchema, found),
        table: () =>
          [
            `${task} is ${state}`,
            ...found.explanations.map(({ text }) => `- ${oneLine(text)}`),
            "",
          ].join("\n"),
      });
      return undefined;
    }),
  );
}

function addCancel(group: Command, runner: Runner): void {
  const cancel = group
    .command("cancel <task...>")
    .description(
      "Wishes that tasks end: a queued one is canceled at once, a running one when its agent has stopped it.",
    );
  addCommonOptions(cancel);
  withExamples(cancel, "remex tasks cancel t_6vpmk3l4o2 t_q3b5x7yz2a");
  cancel.action((tasks: string[]) =>
    runner.run(cancel, async ({ client, deployment, answer, world }) => {
      const { results } = await client.tasks.cancelTasks({ deployment, tasks });
      const refused = results.flatMap(({ refusal }) =>
        refusal === undefined ? [] : [cliErrorOfRefusal(failureOfDetail(refusal))],
      );
      const taken = results.filter(({ refusal }) => refusal === undefined);
      await answer({
        data: () => messagesJson(CancelResultSchema, results),
        table: () =>
          taken.length === 0
            ? ""
            : listTable(
                [
                  { heading: "TASK", cell: (each) => each.task },
                  { heading: "STATE", cell: (each) => taskStateWords[each.state] ?? "unknown" },
                ],
                taken,
              ),
      });
      for (const error of refused) world.tell(errorLines(error));
      return worst(refused.map((error) => error.exitCode));
    }),
  );
}

/** One code for several refusals: theirs when they agree. */
function worst(codes: readonly ExitCode[]): ExitCode | undefined {
  const [first] = codes;
  if (first === undefined) return undefined;
  return codes.every((code) => code === first) ? first : exitCodes.failed;
}
