// SPDX-License-Identifier: Apache-2.0
// `remex tasks events`: what a trigger has emitted.

import { eachTriggerEvent, type TriggerEventRecord, TriggerEventRecordSchema } from "@remex/client";
import type { Command } from "commander";
import { messagesJson } from "../answer.ts";
import { withExamples } from "../command-kit.ts";
import { addCommonOptions } from "../common-options.ts";
import type { Runner } from "../gateway-call.ts";
import { ageOf } from "../instants.ts";
import { listTable } from "../table.ts";

export function addEvents(group: Command, runner: Runner): void {
  const events = group
    .command("events <task>")
    .description(
      "Shows the events of a trigger, oldest first. Each is there once by its attempt and number; an attempt that took the trigger over begins at 1 again.",
    );
  addCommonOptions(events);
  withExamples(
    events,
    "remex tasks events t_6vpmk3l4o2",
    "remex tasks events t_6vpmk3l4o2 -o json",
  );
  events.action((task: string) =>
    runner.run(events, async ({ client, deployment, answer, world }) => {
      const found: TriggerEventRecord[] = [];
      for await (const event of eachTriggerEvent(client, { deployment, task })) found.push(event);
      await answer({
        data: () => messagesJson(TriggerEventRecordSchema, found),
        table: () => listTable(eventColumns(world.nowMs()), found),
      });
      return undefined;
    }),
  );
}

function eventColumns(nowMs: number) {
  return [
    {
      heading: "ATTEMPT",
      cell: ({ attempt }: TriggerEventRecord) => String(attempt?.number ?? ""),
    },
    { heading: "NUMBER", cell: ({ number }: TriggerEventRecord) => String(number) },
    { heading: "AGENT", cell: ({ agent }: TriggerEventRecord) => agent },
    { heading: "AGE", cell: ({ at }: TriggerEventRecord) => ageOf(at, nowMs) },
    {
      heading: "EVENT",
      cell: ({ payload }: TriggerEventRecord) => new TextDecoder().decode(payload),
    },
  ];
}
