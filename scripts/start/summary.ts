// SPDX-License-Identifier: Apache-2.0
// What a run shows of its tasks: a line at each change, a table at the end, JSON for programs.

import { writeFileSync } from "node:fs";

export interface TaskLine {
  /** The DAG or the kind of sample. */
  readonly group: string;
  readonly task: string;
  readonly state: string;
  readonly agent: string;
  readonly tries: number;
  readonly seconds: number | undefined;
}

export interface GroupResult {
  readonly group: string;
  readonly succeeded: boolean;
}

export interface RunResult {
  readonly groups: readonly GroupResult[];
  readonly tasks: readonly TaskLine[];
}

export function succeeded(result: RunResult): boolean {
  return result.groups.length > 0 && result.groups.every((group) => group.succeeded);
}

function cellsOf(line: TaskLine): readonly string[] {
  const seconds = line.seconds === undefined ? "-" : `${line.seconds.toFixed(2)} s`;
  return [
    line.group,
    line.task,
    line.state,
    line.agent === "" ? "-" : line.agent,
    String(line.tries),
    seconds,
  ];
}

/** One line as a task changes. */
export function describeChange(line: TaskLine): string {
  const [group, task, state, agent, , seconds] = cellsOf(line);
  const again = line.tries > 1 ? ` (try ${line.tries})` : "";
  return `${group}.${task}: ${state}${again} on ${agent} after ${seconds}`;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export function summaryText(result: RunResult): string {
  const header = ["DAG", "TASK", "STATE", "AGENT", "TRIES", "DURATION"];
  const good = result.groups.filter((group) => group.succeeded).length;
  const bad = result.groups.filter((group) => !group.succeeded).map((group) => group.group);
  const verdict = bad.length === 0 ? "" : `; not successful: ${bad.join(", ")}`;
  const ran = result.tasks.filter((line) => line.agent !== "").length;
  return [
    "",
    table([header, ...result.tasks.map(cellsOf)]),
    "",
    `${good} of ${result.groups.length} succeeded, ${ran} tasks ran on agents${verdict}`,
    "",
  ].join("\n");
}

export function writeSummary(file: string, result: RunResult): void {
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`);
}
