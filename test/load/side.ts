// SPDX-License-Identifier: Apache-2.0
// One side of a comparison, and what is measured of it.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { cpuMs } from "./cpu-time.ts";

/** The work of a task: nothing, or one process. */
export type Work = "noop" | "true";

/** A system under load, started once and measured in several rounds. */
export interface Side {
  readonly name: string;
  /** Process ids by part; the trees under them are measured. */
  readonly parts: Readonly<Record<string, readonly number[]>>;
  /** Tasks that have ended since the start. */
  ended(): Promise<number>;
  readonly producer: Producer;
  stop(): Promise<void>;
}

export interface Round {
  readonly tasksPerSecond: number;
  /** CPU over all processes, in microseconds per task, and by part. */
  readonly cpuMicrosPerTask: number;
  readonly byPart: Readonly<Record<string, number>>;
}

const lookEveryMs = 5;
/** A side that ends nothing for so long has stopped, and a round of it would never be over. */
const stuckAfterMs = 60_000;

/** Submits `tasks` and waits until all of them have ended. */
export async function measureRound(side: Side, tasks: number): Promise<Round> {
  const before = await side.ended();
  const cpuBefore = Object.entries(side.parts).map(([part, pids]) => [part, cpuMs(pids)] as const);
  const startedAt = performance.now();
  const submitted = side.producer.submit(tasks);
  for (let last = 0, since = startedAt; ; ) {
    const ended = (await side.ended()) - before;
    if (ended >= tasks) break;
    if (ended > last) [last, since] = [ended, performance.now()];
    if (performance.now() - since > stuckAfterMs) {
      throw new Error(`${side.name} stopped after ${ended} of ${tasks} tasks`);
    }
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
  const seconds = (performance.now() - startedAt) / 1000;
  await submitted;
  const byPart = Object.fromEntries(
    cpuBefore.map(([part, ms]) => {
      const spent = cpuMs(side.parts[part] ?? []) - ms;
      return [part, round((spent * 1000) / tasks)];
    }),
  );
  const total = Object.values(byPart).reduce((sum, micros) => sum + micros, 0);
  return {
    tasksPerSecond: Math.round(tasks / seconds),
    cpuMicrosPerTask: round(total),
    byPart,
  };
}

/** A process that submits; both sides have one, so that its cost is counted alike. */
export interface Producer {
  readonly pid: number;
  /** Submits so many tasks, in batches, with a bounded backlog. */
  submit(tasks: number): Promise<void>;
  /** Submits one after another, each when the one before has started; latencies in ms. */
  latencies(samples: number): Promise<number[]>;
  stop(): void;
}

export type ProducerCommand =
  | { readonly kind: "submit"; readonly tasks: number }
  | { readonly kind: "latencies"; readonly samples: number };

export type ProducerAnswer = { readonly latencies: readonly number[] } | { readonly error: string };

/** Starts a producer: a module that calls `serveProducer`. */
export async function startProducer(module: string, settings: unknown): Promise<Producer> {
  const child: ChildProcess = fork(fileURLToPath(new URL(module, import.meta.url)), [
    JSON.stringify(settings),
  ]);
  await once(child, "message");
  const ask = async (command: ProducerCommand): Promise<number[]> => {
    child.send(command);
    const [answer] = (await once(child, "message")) as [ProducerAnswer];
    if ("error" in answer) throw new Error(`the producer failed: ${answer.error}`);
    return [...answer.latencies];
  };
  return {
    pid: child.pid ?? 0,
    submit: async (tasks) => void (await ask({ kind: "submit", tasks })),
    latencies: (samples) => ask({ kind: "latencies", samples }),
    stop: () => child.kill(),
  };
}

/** The far side of `startProducer`. */
export function serveProducer(run: {
  submit(tasks: number): Promise<void>;
  latencies(samples: number): Promise<number[]>;
}): void {
  process.on("message", (command: ProducerCommand) => {
    const work =
      command.kind === "submit"
        ? run.submit(command.tasks).then(() => [])
        : run.latencies(command.samples);
    work.then(
      (latencies) => process.send?.({ latencies }),
      (error: unknown) => process.send?.({ error: String(error) }),
    );
  });
  endWithParent();
  process.send?.("ready");
}

/** Ends this process when the one that started it has, however that ended. */
export function endWithParent(): void {
  process.once("disconnect", () => process.exit(0));
}

/** Submits in batches of 100, two calls at a time, while less than `most` wait. */
export async function submitBounded(
  tasks: number,
  most: number,
  submit: (from: number, count: number) => Promise<void>,
  waiting: () => Promise<number>,
): Promise<void> {
  const batch = 100;
  let next = 0;
  const pump = async (): Promise<void> => {
    while (next < tasks) {
      const from = next;
      next += batch;
      await submit(from, Math.min(batch, tasks - from));
      while ((await waiting()) > most) await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  await Promise.all([pump(), pump()]);
}

/** Wall time with parts of a millisecond, to be compared across processes of one machine. */
export function preciseWallMs(): number {
  return performance.timeOrigin + performance.now();
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export function round(value: number): number {
  return Math.round(value * 10) / 10;
}
