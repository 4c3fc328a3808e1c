// SPDX-License-Identifier: Apache-2.0
// `remex tasks logs`: what a task wrote, as far as it got or as it grows.

import { type AttemptId, isTerminal, readTaskLog, type Task, watchTasks } from "@remex/client";
import type { Command } from "commander";
import { jsonText } from "../answer.ts";
import { CliError, usageError } from "../cli-error.ts";
import { withExamples } from "../command-kit.ts";
import { addCommonOptions } from "../common-options.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import type { GatewayCall, Runner } from "../gateway-call.ts";
import { hasStarted, stateText } from "../task-view.ts";
import { logText } from "../terminal-text.ts";

interface LogOptions {
  readonly follow?: boolean;
  readonly attempt?: string;
  readonly raw?: boolean;
}

/** Without --follow somebody waits for the end of the command; a log that is away is said soon. */
const soonMs = 3_000;
const patientMs = 300_000;

export function addLogs(group: Command, runner: Runner): void {
  const logs = group
    .command("logs <task>")
    .description(
      "Prints the log of a task's current or last attempt. Control characters are shown as escapes.",
    )
    .option("--follow", "go on until the attempt has ended; waits for a task that has not started")
    .option("--attempt <number>", "another attempt, as `tasks get` shows it: 1794000000.7")
    .option("--raw", "print the bytes as the task wrote them");
  addCommonOptions(logs);
  withExamples(
    logs,
    "remex tasks logs t_6vpmk3l4o2 --follow",
    "remex tasks logs t_6vpmk3l4o2 --raw > build.log",
    "remex tasks logs t_6vpmk3l4o2 -o json   # one line per part: {offset, text, complete}",
  );
  logs.action((task: string, options: LogOptions) =>
    runner.run(logs, async (call) => {
      const interrupt = call.world.onInterrupt();
      try {
        return await printLog(call, task, options, interrupt.signal);
      } finally {
        interrupt.release();
      }
    }),
  );
}

async function printLog(
  call: GatewayCall,
  task: string,
  options: LogOptions,
  signal: AbortSignal,
): Promise<ExitCode | undefined> {
  const { deployment } = call;
  const follow = options.follow ?? false;
  // The attempt is named from the beginning: a retry must not be read at the offset of the one before.
  const stated = options.attempt === undefined ? undefined : parseAttempt(options.attempt);
  const attempt = stated ?? (await findAttempt(call, task, follow, signal));
  if (attempt === undefined) return exitCodes.interrupted;
  const print = printerOf(call, options.raw ?? false);
  const parts = readTaskLog(call.client, {
    deployment,
    task,
    attempt,
    follow,
    signal,
    giveUpAfterMs: follow ? patientMs : soonMs,
    onTrouble: (error) => {
      if (follow) call.warn(`${error.message}; trying again`);
    },
  });
  let complete = false;
  for await (const part of parts) {
    complete = part.complete;
    await print(part);
  }
  if (signal.aborted) return exitCodes.interrupted;
  if (!complete && !follow)
    call.suggest(`the log may go on: remex tasks logs ${task}${call.at} --follow`);
  return undefined;
}

type Printer = (part: { offset: bigint; data: Uint8Array; complete: boolean }) => Promise<void>;

function printerOf(call: GatewayCall, raw: boolean): Printer {
  const { world, settings } = call;
  if (raw) return (part) => world.write(part.data);
  // A character may be cut in two by the end of a part.
  const decoder = new TextDecoder();
  const decode = (data: Uint8Array, complete: boolean) =>
    decoder.decode(data, { stream: !complete });
  if (settings.format === "table") {
    return (part) => world.write(logText(decode(part.data, part.complete)));
  }
  return ({ offset, data, complete }) =>
    world.write(jsonText({ offset: String(offset), text: decode(data, complete), complete }));
}

/** The current attempt; with `follow` it is waited for. Undefined when the wait was interrupted. */
async function findAttempt(
  call: GatewayCall,
  id: string,
  follow: boolean,
  signal: AbortSignal,
): Promise<AttemptId | undefined> {
  let waiting = false;
  const read = async () => {
    const { task } = await call.client.tasks.getTask({ deployment: call.deployment, task: id });
    return task;
  };
  const first = await read();
  if (first?.attempt?.attempt !== undefined && (!follow || isReadable(first))) {
    return first.attempt.attempt;
  }
  if (!follow || (first !== undefined && isTerminal(first.state))) throw notStarted(id, first);
  const { deployment, client } = call;
  for await (const history of watchTasks(client, {
    deployment,
    signal,
    giveUpAfterMs: patientMs,
  })) {
    const concerns = history.changes.some((change) => change.task === id);
    if (waiting && !concerns && !history.reset) continue;
    const task = await read();
    if (task?.attempt?.attempt !== undefined && isReadable(task)) return task.attempt.attempt;
    if (task !== undefined && isTerminal(task.state)) throw notStarted(id, task);
    if (!waiting) call.progress(`${id} has not started yet; waiting`);
    waiting = true;
  }
  return undefined;
}

function isReadable(task: Task): boolean {
  return hasStarted(task) || isTerminal(task.state);
}

function notStarted(id: string, task: Task | undefined): CliError {
  const state = task === undefined ? "unknown" : stateText(task);
  return new CliError(
    `task ${id} was never started, so it has no log: it is ${state}`,
    exitCodes.notFound,
    "wait for its start with --follow",
  );
}

function parseAttempt(text: string): AttemptId {
  const match = /^(\d{1,19})\.(\d{1,19})$/.exec(text);
  if (match === null) {
    throw usageError(
      `--attempt: ${JSON.stringify(text)} is not an attempt`,
      "write it as `remex tasks get` shows it: 1794000000.7",
    );
  }
  return {
    $typeName: "remex.common.v1.AttemptId",
    epoch: BigInt(match[1] ?? 0),
    number: BigInt(match[2] ?? 0),
  };
}
