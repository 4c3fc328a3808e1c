// SPDX-License-Identifier: Apache-2.0
// `remex agents brake`: what holds back the failing of many agents at once.

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Brake, BrakeSchema } from "@remex/client";
import type { Command } from "commander";
import { messagesJson } from "../answer.ts";
import { addGroup, withExamples } from "../command-kit.ts";
import { addCommonOptions } from "../common-options.ts";
import { confirmName, yesOption } from "../confirmation.ts";
import { parseDurationMs } from "../duration-text.ts";
import type { GatewayCall, Runner } from "../gateway-call.ts";
import { ageOf, durationOf } from "../instants.ts";
import { type Column, listTable } from "../table.ts";

export function addBrakeCommands(agents: Command, runner: Runner): void {
  const group = addGroup(
    agents,
    "brake",
    "What holds agents back as suspect, and not failed, while most of them are silent.",
  );
  addList(group, runner);
  addRelease(group, runner);
  addExtend(group, runner);
}

function addList(group: Command, runner: Runner): void {
  const list = group.command("list").description("Lists the brakes that hold agents now.");
  addCommonOptions(list);
  withExamples(list, "remex agents brake list");
  list.action(() =>
    runner.run(list, async (call) => {
      const { brakes } = await call.client.brakes.listBrakes({ deployment: call.deployment });
      await answerBrakes(call, brakes);
      return undefined;
    }),
  );
}

interface BrakeOptions {
  readonly registry?: string;
  readonly yes?: boolean;
}

const registryOption = [
  "--registry <id>",
  "the brake of this registry's agents alone (default: all of the deployment)",
] as const;

function addRelease(group: Command, runner: Runner): void {
  const release = group
    .command("release")
    .description(
      "Lets agents go that are held back: those that are silent for too long fail, and their work runs elsewhere. Needs an operator key.",
    )
    .option(...registryOption)
    .option(...yesOption);
  addCommonOptions(release);
  withExamples(release, "remex agents brake release");
  release.action((options: BrakeOptions) =>
    runner.run(release, async (call) => {
      const { client, deployment, world } = call;
      const what = `silent agents of deployment ${deployment} will fail at once`;
      await confirmName(world, deployment, what, options.yes);
      const registry = options.registry ?? "";
      const { brakes } = await client.brakes.releaseBrake({ deployment, registry });
      await answerBrakes(call, brakes);
      return undefined;
    }),
  );
}

function addExtend(group: Command, runner: Runner): void {
  const extend = group
    .command("extend")
    .description("Holds agents back for longer than the limit; needs an operator key.")
    .requiredOption("--by <duration>", "how much longer, 1s to 24h")
    .option(...registryOption);
  addCommonOptions(extend);
  withExamples(extend, "remex agents brake extend --by 10m");
  extend.action((options: BrakeOptions & { by: string }) =>
    runner.run(extend, async (call) => {
      const by = durationFromMs(parseDurationMs(options.by, "--by"));
      const { brakes } = await call.client.brakes.extendBrake({
        ...{ deployment: call.deployment, registry: options.registry ?? "", by },
      });
      await answerBrakes(call, brakes);
      return undefined;
    }),
  );
}

async function answerBrakes(
  { answer, world }: GatewayCall,
  brakes: readonly Brake[],
): Promise<void> {
  await answer({
    data: () => messagesJson(BrakeSchema, brakes),
    table: () => listTable(columns(world.nowMs()), brakes),
  });
}

function columns(nowMs: number): Column<Brake>[] {
  return [
    { heading: "OF", cell: (each) => each.registry || "the deployment" },
    { heading: "ENGAGED", cell: (each) => `${ageOf(each.engagedAt, nowMs)} ago` },
    { heading: "SUSPECT", cell: (each) => `${each.suspects} of ${each.base}` },
    { heading: "FAILED", cell: (each) => String(each.ended) },
    { heading: "EXTENDED BY", cell: (each) => durationOf(each.extendedBy) },
    { heading: "RELEASED", cell: (each) => (each.released ? "yes" : "no") },
  ];
}
