// SPDX-License-Identifier: Apache-2.0
// `remex groups`: list, set. A group is cordoned with `remex agents cordon --group`.

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Group, GroupSchema, OnCut } from "@remex/client";
import type { Command } from "commander";
import { messageJson, messagesJson } from "../answer.ts";
import { usageError } from "../cli-error.ts";
import { addGroup, withExamples, wordOption } from "../command-kit.ts";
import { addCommonOptions } from "../common-options.ts";
import { parseLostAfterMs } from "../duration-text.ts";
import type { GatewayCall, Runner } from "../gateway-call.ts";
import { lostAfterOf } from "../instants.ts";
import { type Column, listTable } from "../table.ts";
import { onCutWords, valueOfWord, wordsOf } from "../words.ts";

/** Leaves a setting to the deployment. */
const inherit = "inherit";

export function addGroupCommands(program: Command, runner: Runner): void {
  const group = addGroup(
    program,
    "groups",
    "The groups of a deployment's agents, and what they state over its settings.",
  );
  addList(group, runner);
  addSet(group, runner);
}

function addList(group: Command, runner: Runner): void {
  const list = group
    .command("list")
    .description("Lists the groups that agents name or that something was set for.");
  addCommonOptions(list);
  withExamples(list, "remex groups list");
  list.action(() =>
    runner.run(list, async ({ client, deployment, answer }) => {
      const { groups } = await client.groups.listGroups({ deployment });
      await answer({
        data: () => messagesJson(GroupSchema, groups),
        table: () => listTable(columns, groups),
      });
      return undefined;
    }),
  );
}

interface SetOptions {
  readonly onCut?: string;
  readonly lostAfter?: string;
}

function addSet(group: Command, runner: Runner): void {
  const set = group
    .command("set <group>")
    .description(
      "Sets what holds for the agents of a group where a task does not say; needs an operator key.",
    )
    .addOption(
      wordOption("--on-cut <what>", "what cut-off agents do with running tasks", [
        ...wordsOf(onCutWords),
        inherit,
      ]),
    )
    .option(
      "--lost-after <duration>",
      "how long work of a failed agent is held before it runs elsewhere: 5m, never, or inherit",
    );
  addCommonOptions(set);
  withExamples(set, "remex groups set warehouse --lost-after 5m --on-cut continue");
  set.action((name: string, { onCut, lostAfter }: SetOptions) =>
    runner.run(set, async (call) => {
      if (onCut === undefined && lostAfter === undefined) {
        throw usageError("nothing to set", "name --on-cut or --lost-after");
      }
      const { group: made } = await call.client.groups.updateGroup({
        ...{ deployment: call.deployment, group: name },
        ...(onCut === undefined
          ? {}
          : { onCut: valueOfWord<OnCut>(onCutWords, onCut) ?? OnCut.UNSPECIFIED }),
        ...(lostAfter === undefined || lostAfter === inherit
          ? { inheritLostAfter: lostAfter === inherit }
          : { lostAfter: durationFromMs(parseLostAfterMs(lostAfter, "--lost-after")) }),
      });
      await answerGroup(call, made);
      return undefined;
    }),
  );
}

/** Shows one group, as commands that changed it do. */
export async function answerGroup(call: GatewayCall, group: Group | undefined): Promise<void> {
  if (group === undefined) throw new Error("the answer holds no group");
  await call.answer({
    data: () => messageJson(GroupSchema, group),
    table: () => listTable(columns, [group]),
  });
}

const columns: Column<Group>[] = [
  { heading: "GROUP", cell: (each) => each.group },
  { heading: "AGENTS", cell: (each) => String(each.agents ?? "?") },
  { heading: "CORDONED", cell: cordonText },
  { heading: "ON CUT", cell: (each) => onCutWords[each.onCut] || inherit },
  { heading: "LOST AFTER", cell: (each) => lostAfterOf(each.lostAfter) || inherit },
];

function cordonText({ cordoned, note }: Group): string {
  if (!cordoned) return "no";
  return note === "" ? "yes" : `yes (${note})`;
}
