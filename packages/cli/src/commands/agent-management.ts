// SPDX-License-Identifier: Apache-2.0
// `remex agents`: cordon, uncordon, drain, delete, restore, gone.

import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { type Agent, AgentSchema, Availability } from "@remex/client";
import type { Command } from "commander";
import { messageJson } from "../answer.ts";
import { usageError } from "../cli-error.ts";
import { withExamples } from "../command-kit.ts";
import { addCommonOptions } from "../common-options.ts";
import { confirmName, yesOption } from "../confirmation.ts";
import { parseDurationMs } from "../duration-text.ts";
import type { GatewayCall, Runner } from "../gateway-call.ts";
import { momentOf } from "../instants.ts";
import { answerGroup } from "./groups.ts";

export function addAgentManagement(group: Command, runner: Runner): void {
  addCordon(group, runner);
  addUncordon(group, runner);
  addDrain(group, runner);
  addDelete(group, runner);
  addRestore(group, runner);
  addGone(group, runner);
}

interface Target {
  readonly group?: string;
  readonly reason?: string;
}

function addCordon(group: Command, runner: Runner): void {
  const cordon = group
    .command("cordon [agent]")
    .description(
      "Keeps new work away from an agent or a group; what it runs goes on. Needs an operator key.",
    )
    .option("--group <group>", "all agents of this group, and those that join it")
    .option("--reason <text>", "why, for people");
  addCommonOptions(cordon);
  withExamples(
    cordon,
    'remex agents cordon warehouse-1 --reason "disk is full"',
    "remex agents cordon --group warehouse",
  );
  cordon.action((agent: string | undefined, options: Target) =>
    runner.run(cordon, async (call) => {
      const { client, deployment } = call;
      const note = options.reason ?? "";
      const target = oneOf(agent, options.group);
      if (target.group !== undefined) {
        const { group: name } = target;
        const made = await client.groups.cordonGroup({ deployment, group: name, note });
        await answerGroup(call, made.group);
      } else {
        const { agent: name } = target;
        const made = await client.agents.cordonAgent({ deployment, agent: name, note });
        await answerAgent(call, name, made.agent);
      }
      return undefined;
    }),
  );
}

function addUncordon(group: Command, runner: Runner): void {
  const uncordon = group
    .command("uncordon [agent]")
    .description(
      "Lets an agent or a group get work again, after a drain too. Needs an operator key.",
    )
    .option("--group <group>", "the group");
  addCommonOptions(uncordon);
  withExamples(uncordon, "remex agents uncordon warehouse-1");
  uncordon.action((agent: string | undefined, options: Target) =>
    runner.run(uncordon, async (call) => {
      const { client, deployment } = call;
      const target = oneOf(agent, options.group);
      if (target.group !== undefined) {
        const made = await client.groups.uncordonGroup({ deployment, group: target.group });
        await answerGroup(call, made.group);
      } else {
        const { agent: name } = target;
        const made = await client.agents.uncordonAgent({ deployment, agent: name });
        await answerAgent(call, name, made.agent);
      }
      return undefined;
    }),
  );
}

/** Exactly one of the two ways to say who is meant. */
function oneOf(
  agent: string | undefined,
  group: string | undefined,
): { readonly agent: string; readonly group?: undefined } | { readonly group: string } {
  if (group !== undefined && agent === undefined) return { group };
  if (agent !== undefined && group === undefined) return { agent };
  throw usageError("name one agent, or a group with --group");
}

function addDrain(group: Command, runner: Runner): void {
  const drain = group
    .command("drain <agent>")
    .description(
      "Cordons an agent and has it emptied; what still runs at the deadline is stopped and runs elsewhere as its task says. Needs an operator key.",
    )
    .option("--deadline <duration>", "stop what still runs after this time (default: never)")
    .option("--reason <text>", "why, for people");
  addCommonOptions(drain);
  withExamples(drain, "remex agents drain warehouse-1 --deadline 30m --reason upgrade");
  drain.action((agent: string, options: { deadline?: string; reason?: string }) =>
    runner.run(drain, async (call) => {
      const { deadline } = options;
      const made = await call.client.agents.drainAgent({
        ...{ deployment: call.deployment, agent, note: options.reason ?? "" },
        ...(deadline === undefined
          ? {}
          : { deadline: durationFromMs(parseDurationMs(deadline, "--deadline")) }),
      });
      await answerAgent(call, agent, made.agent);
      if ((made.agent?.tasksHeld ?? 0) > 0) {
        call.suggest(`see what is left: remex agents get ${agent}${call.at}`);
      }
      return undefined;
    }),
  );
}

interface DeleteOptions {
  readonly force?: boolean;
  readonly gone?: boolean;
  readonly reason?: string;
  readonly yes?: boolean;
}

function addDelete(group: Command, runner: Runner): void {
  const remove = group
    .command("delete <agent>")
    .description(
      "Removes an agent: its process is not let in again, its name for 24 h. Refused while it has work, but with --force or --gone. Needs an operator key.",
    )
    .option("--force", "kill the work that runs on it; tasks then go on elsewhere as each says")
    .option(
      "--gone",
      "the agent is away for good and nothing of it runs: give up what is held for it",
    )
    .option("--reason <text>", "why, for people")
    .option(...yesOption);
  addCommonOptions(remove);
  withExamples(
    remove,
    "remex agents drain warehouse-1 && remex agents delete warehouse-1",
    "remex agents delete lab-3 --gone --yes",
  );
  remove.action((agent: string, options: DeleteOptions) =>
    runner.run(remove, async ({ client, deployment, answer, world }) => {
      const { force = false, gone = false, reason: note = "" } = options;
      const what = `agent ${agent} of deployment ${deployment} is to be deleted${force ? ", and its work killed" : ""}`;
      await confirmName(world, agent, what, options.yes);
      const done = await client.agents.deleteAgent({ deployment, agent, force, gone, note });
      const { tasksGivenUp } = done;
      const freeAt = momentOf(done.nameFreeAt, world.nowMs());
      await answer({
        data: () => ({ deployment, agent, tasksGivenUp }),
        table: () =>
          [
            `agent ${agent} of deployment ${deployment} is deleted`,
            ...(tasksGivenUp > 0 ? [`given up: ${tasksText(tasksGivenUp)}`] : []),
            ...(freeAt === undefined ? [] : [`the name is free again: ${freeAt}`]),
            "",
          ].join("\n"),
      });
      return undefined;
    }),
  );
}

function addRestore(group: Command, runner: Runner): void {
  const restore = group
    .command("restore <agent>")
    .description(
      "Lets the name of a deleted agent come back at once; the agent itself must be started anew. Needs an operator key.",
    );
  addCommonOptions(restore);
  withExamples(restore, "remex agents restore warehouse-1");
  restore.action((agent: string) =>
    runner.run(restore, async ({ client, deployment, answer }) => {
      await client.agents.restoreAgent({ deployment, agent });
      await answer({
        data: () => ({ deployment, agent }),
        table: () => `agent ${agent} of deployment ${deployment} may come back: start it anew\n`,
      });
      return undefined;
    }),
  );
}

function addGone(group: Command, runner: Runner): void {
  const gone = group
    .command("gone <agent>")
    .description(
      "Says that a failed agent will not come back and that nothing of it runs: work held for it is given up. Needs an operator key.",
    )
    .option(...yesOption);
  addCommonOptions(gone);
  withExamples(gone, "remex agents gone lab-3 --yes");
  gone.action((agent: string, options: { yes?: boolean }) =>
    runner.run(gone, async ({ client, deployment, answer, world }) => {
      const what = `if agent ${agent} still runs its tasks somewhere, each of them will run twice`;
      await confirmName(world, agent, what, options.yes);
      const { tasksGivenUp } = await client.agents.giveUpAgent({ deployment, agent });
      await answer({
        data: () => ({ deployment, agent, tasksGivenUp }),
        table: () => `agent ${agent} is gone; given up: ${tasksText(tasksGivenUp)}\n`,
      });
      return undefined;
    }),
  );
}

const availabilityTexts: Partial<Record<Availability, string>> = {
  [Availability.SCHEDULABLE]: "may get work",
  [Availability.CORDONED]: "gets no new work",
  [Availability.DRAINING]: "gets no new work and is emptied",
  [Availability.DELETED]: "is deleted",
};

async function answerAgent(
  { answer, deployment }: GatewayCall,
  name: string,
  agent: Agent | undefined,
): Promise<void> {
  const what =
    agent === undefined
      ? "is not there now; it is recorded for when it comes"
      : (availabilityTexts[agent.availability] ?? "is changed");
  const left =
    agent === undefined || agent.tasksHeld === 0 ? "" : `; ${tasksText(agent.tasksHeld)} on it`;
  await answer({
    data: () =>
      agent === undefined ? { deployment, agent: name } : messageJson(AgentSchema, agent),
    table: () => `agent ${name} of deployment ${deployment} ${what}${left}\n`,
  });
}

function tasksText(count: number): string {
  return count === 1 ? "1 task" : `${count} tasks`;
}
