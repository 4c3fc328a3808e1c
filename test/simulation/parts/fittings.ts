// SPDX-License-Identifier: Apache-2.0
// What every simulated process is fitted with: its clock, a log that goes into the trace, metrics of no effect.

import { type Clock, createElapsedTime, type Logger, type Metrics } from "@remex/runtime";
import type { SimProcess } from "../engine/world.ts";

/** The clock of a process: the real reckoning of elapsed time, over the simulated clocks of its host. */
export function clockOf(process: SimProcess): Clock {
  const { world } = process;
  const nowMs = createElapsedTime({
    monotonicMs: () => process.monotonicMs(),
    wallMs: () => process.wallMs(),
    bootMs: () => process.monotonicMs(),
  });
  const after = (delayMs: number, fire: () => void) =>
    world.after(Math.max(0, delayMs) / process.rate, process, "timer", fire);
  return {
    nowMs,
    wallMs: () => process.wallMs(),
    after,
    every(periodMs, fire) {
      let cancel = (): void => undefined;
      const turn = (): void => {
        cancel = after(periodMs, turn);
        fire();
      };
      cancel = after(periodMs, turn);
      return () => cancel();
    },
  };
}

const levels = ["trace", "debug", "info", "warn", "error", "fatal"] as const;

/** A log whose lines are part of the trace. */
export function logOf(process: SimProcess): Logger {
  const { world } = process;
  const write = (level: string, fields: unknown, message: unknown): void => {
    const text = typeof fields === "string" ? fields : String(message ?? "");
    const facts = typeof fields === "string" ? "" : textOf(fields);
    world.trace.add(world.nowMs, process.name, level, `${text}${facts}`);
  };
  const log: Record<string, unknown> = { level: "debug", child: () => log };
  for (const level of levels) {
    log[level] =
      level === "trace" || level === "debug"
        ? () => undefined
        : (fields: unknown, message: unknown) => write(level, fields, message);
  }
  return log as unknown as Logger;
}

function textOf(fields: unknown): string {
  if (typeof fields !== "object" || fields === null) return "";
  const parts = Object.entries(fields).map(([name, value]) => {
    const shown = value instanceof Error ? `${value.name}: ${value.message}` : String(value);
    return `${name}=${shown}`;
  });
  return parts.length === 0 ? "" : ` ${parts.join(" ")}`;
}

const noMetric = {
  inc: () => undefined,
  dec: () => undefined,
  set: () => undefined,
  observe: () => undefined,
  remove: () => undefined,
  reset: () => undefined,
  labels: () => noMetric,
  startTimer: () => () => 0,
};

export const noMetrics: Metrics = {
  counter: () => noMetric as never,
  gauge: () => noMetric as never,
  histogram: () => noMetric as never,
  text: () => Promise.resolve(""),
  contentType: "text/plain",
};
