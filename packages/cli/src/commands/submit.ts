// SPDX-License-Identifier: Apache-2.0
// `remex tasks submit`: one command, or a file of many; on wish it waits for their end.

import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  failureOfDetail,
  type SubmitResult,
  SubmitResultSchema,
  type TaskSubmission,
} from "@remex/client";
import type { Command } from "commander";
import { type Answer, messageJson, messagesJson } from "../answer.ts";
import { parseBatch, type TaskWish } from "../batch-file.ts";
import { cliErrorOfRefusal, errorLines, usageError } from "../cli-error.ts";
import { gatherWhole, withExamples, wordOption } from "../command-kit.ts";
import { addCommonOptions } from "../common-options.ts";
import { parseCount } from "../duration-text.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import type { GatewayCall, Runner } from "../gateway-call.ts";
import { cutIntoCalls, parsePairs, submissionOf } from "../submission.ts";
import { listTable } from "../table.ts";
import { awaitTasks } from "../task-wait.ts";
import { onCutWords, onLostWords, taskStateWords, wordsOf } from "../words.ts";
import type { World } from "../world.ts";
import { addTriggerOptions, readTriggerOptions, type TriggerOptions } from "./trigger-options.ts";

interface SubmitOptions extends TriggerOptions {
  readonly queue?: string;
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly timeout?: string;
  readonly priority?: string;
  readonly key?: string;
  readonly slotCost?: string;
  readonly label?: readonly string[];
  readonly onLost?: string;
  readonly onCut?: string;
  readonly lostAfter?: string;
  readonly maxRetries?: string;
  readonly noop?: boolean;
  readonly file?: string;
  readonly wait?: boolean;
}

export function addSubmit(group: Command, runner: Runner): void {
  const submit = group
    .command("submit")
    .description(
      "Queues a command, or with --file a batch of them. The command comes after two dashes and is run without a shell.",
    )
    .usage("[options] [-- CMD ARGS...]")
    .argument("[command...]", "program and arguments")
    .option("--queue <queue>", "queue (default: default)")
    .option("--env <key=value>", "environment variable, may be repeated", gatherWhole)
    .option("--cwd <directory>", "working directory on the agent (default: a fresh one)")
    .option("--timeout <duration>", "longest run time of one attempt (default: none)")
    .option("--priority <number>", "greater goes first within the queue (default: 0)")
    .option("--key <key>", "idempotency key: the same key gives the same task (default: random)")
    .option("--slot-cost <number>", "slots that it holds while it runs (default: 1)")
    .option("--label <key=value>", "label that the agent must have, may be repeated", gatherWhole)
    .addOption(
      wordOption(
        "--on-lost <what>",
        "what becomes of it when its agent is lost (default: requeue)",
        wordsOf(onLostWords),
      ),
    )
    .addOption(
      wordOption(
        "--on-cut <what>",
        "what its agent does with it while it is cut off (default: the deployment's)",
        wordsOf(onCutWords),
      ),
    )
    .option(
      "--lost-after <duration>",
      "how long it is held before a lost agent's work is given up, or never (default: the deployment's)",
    )
    .option("--max-retries <number>", "tries again after a failure (default: 0)")
    .option("--noop", "does nothing; for measurements")
    .option(
      "--file <file>",
      "YAML file with a list of tasks, - for standard input; the other options are its defaults",
    )
    .option(
      "--wait",
      "wait for the end and show progress; exit code 6 when a task did not succeed",
    );
  addTriggerOptions(submit);
  addCommonOptions(submit, ["timeout"]);
  withExamples(
    submit,
    "remex tasks submit -- sh -c 'echo hello from $(hostname)'",
    "remex tasks submit --queue gpu --env EPOCHS=3 --timeout 2h --wait -- python train.py",
    "remex tasks submit --file batch.yaml --wait",
    "remex tasks submit --trigger timer --after 5s",
    "remex tasks submit --trigger http --poll-url http://service/ready --expect-status 200 --every 2s",
    "",
    "A batch file:",
    "  - command: [sh, -c, 'echo one']",
    "    queue: default",
    "    env: { GREETING: hello }",
    "  - command: [sleep, '5']",
    "    timeout: 10s",
    "    onLost: fail",
    "",
    "--timeout before `tasks` limits the calls, after `submit` the task: remex --timeout 5s tasks submit ...",
  );
  submit.action((command: string[], options: SubmitOptions) =>
    runner.run(submit, async (call) => {
      const submissions = await readSubmissions(command, options, call.world);
      return submitAll(call, submissions, options);
    }),
  );
}

async function readSubmissions(
  command: readonly string[],
  options: SubmitOptions,
  world: World,
): Promise<TaskSubmission[]> {
  const defaults = { ...wishOf(options), ...(await readTriggerOptions(options)) };
  const randomKey = () => `cli-${randomUUID()}`;
  if (options.file === undefined) {
    const noop = options.noop ?? false;
    return [submissionOf({ ...defaults, noop, command }, "", randomKey)];
  }
  const { noop, key, trigger } = options;
  if (command.length > 0 || noop === true || key !== undefined || trigger !== undefined) {
    const problem = "--file excludes a command, --noop, --trigger and --key";
    throw usageError(problem, "write them into the file");
  }
  const name = nameOf(options.file);
  const wishes = parseBatch(await readBatch(options.file, world), name);
  return wishes.map((wish, index) => {
    const merged = {
      ...defaults,
      ...wish,
      env: { ...defaults.env, ...wish.env },
      labels: { ...defaults.labels, ...wish.labels },
    };
    return submissionOf(merged, `${name}: task ${index + 1}`, randomKey);
  });
}

function nameOf(file: string): string {
  return file === "-" ? "standard input" : file;
}

async function readBatch(file: string, world: World): Promise<string> {
  if (file === "-") return world.readStdin();
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw usageError(`--file: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function wishOf(options: SubmitOptions): TaskWish {
  const { priority, slotCost, maxRetries } = options;
  const named = {
    queue: options.queue,
    cwd: options.cwd,
    timeout: options.timeout,
    key: options.key,
    onLost: options.onLost,
    onCut: options.onCut,
    lostAfter: options.lostAfter,
    env: parsePairs(options.env ?? [], "--env"),
    labels: parsePairs(options.label ?? [], "--label"),
    priority:
      priority === undefined
        ? undefined
        : parseCount(priority, "--priority", -2_147_483_648, 2_147_483_647),
    slotCost:
      slotCost === undefined ? undefined : parseCount(slotCost, "--slot-cost", 1, 4_294_967_295),
    maxRetries:
      maxRetries === undefined
        ? undefined
        : parseCount(maxRetries, "--max-retries", 0, 4_294_967_295),
  };
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
}

async function submitAll(
  call: GatewayCall,
  submissions: readonly TaskSubmission[],
  options: SubmitOptions,
): Promise<ExitCode | undefined> {
  const results: SubmitResult[] = [];
  const { deployment } = call;
  for (const tasks of cutIntoCalls(submissions)) {
    const answer = await call.client.tasks.submitTasks({ deployment, tasks });
    results.push(...answer.results);
  }
  const single = options.file === undefined;
  const refused = results.flatMap(({ refusal }, index) =>
    refusal === undefined ? [] : [{ index, error: cliErrorOfRefusal(failureOfDetail(refusal)) }],
  );
  const [only] = refused;
  if (single && only !== undefined) throw only.error;
  const tasks = results.flatMap(({ task, refusal }) => (refusal === undefined ? [task] : []));
  if (options.wait !== true) await call.answer(submitted(results, single));
  for (const { index, error } of refused) {
    call.progress(`task ${index + 1} of ${nameOf(options.file ?? "")}:`);
    call.world.tell(errorLines(error));
  }
  if (options.wait === true && tasks.length > 0) {
    const exitCode = await awaitTasks(call, tasks, single);
    return refused.length > 0 && exitCode === exitCodes.ok ? exitCodes.failed : exitCode;
  }
  const [first] = tasks;
  if (first !== undefined) suggestNext(call, first, single, options.trigger);
  return refused.length > 0 ? exitCodes.failed : undefined;
}

function submitted(results: readonly SubmitResult[], single: boolean): Answer {
  const [first] = results;
  return {
    data: () =>
      single && first !== undefined
        ? messageJson(SubmitResultSchema, first)
        : messagesJson(SubmitResultSchema, results),
    table: () =>
      listTable(
        [
          { heading: "TASK", cell: (each) => each.task },
          {
            heading: "STATE",
            cell: (each) =>
              each.refusal === undefined ? (taskStateWords[each.state] ?? "unknown") : "refused",
          },
          { heading: "", cell: (each) => (each.existing ? "was there before" : " ") },
        ],
        results,
      ),
  };
}

function suggestNext(
  call: GatewayCall,
  task: string,
  single: boolean,
  trigger: string | undefined,
): void {
  const { at } = call;
  const look = trigger === undefined ? `logs ${task}${at} --follow` : `events ${task}${at}`;
  call.suggest(single ? `remex tasks ${look}` : `remex tasks list${at}`);
}
