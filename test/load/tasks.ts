// SPDX-License-Identifier: Apache-2.0
// `pnpm load:tasks`: sustained tasks per second and CPU per task, beside BullMQ, in interleaved rounds, as JSON.

import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { startBullmqSide } from "./bullmq-side.ts";
import { agentCount, startRemexSide } from "./remex-side.ts";
import { measureRound, median, type Round, round, type Side, type Work } from "./side.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    noop: { type: "string", default: "60000" },
    true: { type: "string", default: "1000" },
    work: { type: "string", multiple: true, default: ["noop", "true"] },
    "without-bullmq": { type: "boolean", default: false },
  },
});

// Each program of a side ends with this process, by a listener of its own.
process.setMaxListeners(0);

async function compare(work: Work, tasks: number): Promise<unknown> {
  const sides: Side[] = [await startRemexSide(work)];
  if (!values["without-bullmq"]) {
    sides.push(await startBullmqSide(work), await startBullmqSide(work, agentCount));
  }
  const rounds = new Map<string, Round[]>(sides.map(({ name }) => [name, []]));
  try {
    // Cold code costs many times more; what a service does all day is warm.
    for (const side of sides) await measureRound(side, Math.ceil(tasks / 2));
    for (let i = 0; i < Number(values.rounds); i++) {
      for (const side of sides) rounds.get(side.name)?.push(await measureRound(side, tasks));
    }
  } finally {
    await Promise.all(sides.map((side) => side.stop()));
  }
  const found = Object.fromEntries([...rounds].map(([name, own]) => [name, summary(own)]));
  const { remex, bullmq } = found;
  return {
    work,
    tasksPerRound: tasks,
    ...found,
    ...(remex && bullmq
      ? {
          ratio: {
            tasksPerSecond: round(remex.tasksPerSecond / bullmq.tasksPerSecond),
            cpuMicrosPerTask: round(remex.cpuMicrosPerTask / bullmq.cpuMicrosPerTask),
          },
        }
      : {}),
  };
}

function summary(rounds: readonly Round[]) {
  const parts = Object.keys(rounds[0]?.byPart ?? {});
  return {
    tasksPerSecond: median(rounds.map((each) => each.tasksPerSecond)),
    cpuMicrosPerTask: median(rounds.map((each) => each.cpuMicrosPerTask)),
    byPart: Object.fromEntries(
      parts.map((part) => [part, median(rounds.map((each) => each.byPart[part] ?? 0))]),
    ),
    runs: rounds.map((each) => each.tasksPerSecond),
  };
}

const results: unknown[] = [];
for (const work of values.work) {
  if (work !== "noop" && work !== "true") throw new Error(`--work is noop or true, not ${work}`);
  results.push(await compare(work, Number(values[work])));
}
console.log(JSON.stringify({ load: loadavg(), node: process.version, results }, undefined, 2));
process.exit(0);
