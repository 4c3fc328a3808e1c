// SPDX-License-Identifier: Apache-2.0
// `remex agents`: list, get; what is done with agents is beside this file.

import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type Agent,
  AgentSchema,
  Availability,
  collectAll,
  eachAgent,
  Maintenance,
} from "@remex/client";
import type { Command } from "commander";
import { type Answer, messageJson, messagesJson } from "../answer.ts";
import { addGroup, withExamples } from "../command-kit.ts";
import { addCommonOptions } from "../common-options.ts";
import type { Runner } from "../gateway-call.ts";
import { ageOfDuration, momentOf } from "../instants.ts";
import { type Column, factTable, listTable } from "../table.ts";
import { availabilityWords, healthWords, kindWords } from "../words.ts";
import { addBrakeCommands } from "./agent-brake.ts";
import { addAgentManagement } from "./agent-management.ts";

export function addAgentCommands(program: Command, runner: Runner): void {
  const group = addGroup(program, "agents", "The agents of a deployment.");
  addList(group, runner);
  addGet(group, runner);
  addAgentManagement(group, runner);
  addBrakeCommands(group, runner);
}

function addList(group: Command, runner: Runner): void {
  const list = group
    .command("list")
    .description("Lists the agents with their health, last heartbeat and load.");
  addCommonOptions(list);
  withExamples(list, "remex agents list", "remex agents list -o json");
  list.action(() =>
    runner.run(list, async ({ client, deployment, answer, suggest }) => {
      const agents = await collectAll(eachAgent(client, { deployment }));
      await answer({
        data: () => messagesJson(AgentSchema, agents),
        table: () => listTable(columns, agents),
      });
      if (agents.length === 0) {
        suggest(
          "make a token with `remex tokens create`, then start `remex-agent --token-file FILE`",
        );
      }
      return undefined;
    }),
  );
}

function addGet(group: Command, runner: Runner): void {
  const get = group.command("get <agent>").description("Shows everything known about an agent.");
  addCommonOptions(get);
  withExamples(get, "remex agents get warehouse-1");
  get.action((agent: string) =>
    runner.run(get, async ({ client, deployment, answer, world }) => {
      const found = await client.agents.getAgent({ deployment, agent });
      await answer(oneAgent(found.agent, world.nowMs()));
      return undefined;
    }),
  );
}

const columns: Column<Agent>[] = [
  { heading: "AGENT", cell: (each) => each.agent },
  { heading: "KIND", cell: (each) => kindWords[each.kind] ?? String(each.kind) },
  { heading: "HEALTH", cell: healthText },
  { heading: "AVAILABILITY", cell: availabilityText },
  { heading: "HEARTBEAT", cell: heartbeatText },
  { heading: "SLOTS", cell: (each) => `${each.slotsUsed}/${each.capabilities?.slots ?? 0}` },
  { heading: "TASKS", cell: (each) => String(each.tasksHeld) },
  { heading: "QUEUES", cell: (each) => each.capabilities?.queues.join(",") ?? "" },
  { heading: "VERSION", cell: versionText },
];

function healthText(agent: Agent): string {
  const word = healthWords[agent.health] ?? "unknown";
  return agent.healthReason === "" ? word : `${word} (${agent.healthReason})`;
}

/** One that drains is followed by what is left of it. */
function availabilityText(agent: Agent): string {
  const word = availabilityWords[agent.availability] ?? "unknown";
  if (agent.availability !== Availability.DRAINING) return word;
  if (agent.tasksHeld === 0) return "drained";
  const left = agent.drainRemaining === undefined ? "" : `, ${ageOfDuration(agent.drainRemaining)}`;
  return `${word} (${agent.tasksHeld} left${left})`;
}

/** R27: a version that is near or past its end is followed by the day of it. */
function versionText(agent: Agent): string {
  const { maintenance, maintainedUntil, softwareVersion } = agent;
  if (maintainedUntil === undefined) return softwareVersion;
  const day = new Date(timestampMs(maintainedUntil)).toISOString().slice(0, 10);
  switch (maintenance) {
    case Maintenance.ENDING:
      return `${softwareVersion} (maintained until ${day})`;
    case Maintenance.ENDED:
      return `${softwareVersion} (not maintained since ${day})`;
    default:
      return softwareVersion;
  }
}

function heartbeatText(agent: Agent): string {
  const age = agent.heartbeatAge;
  return age === undefined ? "never" : `${ageOfDuration(age)} ago`;
}

function oneAgent(agent: Agent | undefined, nowMs: number): Answer {
  if (agent === undefined) throw new Error("the answer holds no agent");
  const able = agent.capabilities;
  const { session } = agent;
  return {
    data: () => messageJson(AgentSchema, agent),
    table: () =>
      factTable([
        ["Agent", agent.agent],
        ["Deployment", agent.deployment],
        ["Kind", kindWords[agent.kind] ?? String(agent.kind)],
        ["Group", able?.group],
        ["Health", healthText(agent)],
        ["Health since", momentOf(agent.healthSince, nowMs)],
        ["Availability", availabilityText(agent)],
        ["Reason", agent.availabilityNote],
        ["Heartbeat", heartbeatText(agent)],
        ["Slots", `${agent.slotsUsed} of ${able?.slots ?? 0} used`],
        ["Tasks", agent.tasksHeld === 0 ? undefined : String(agent.tasksHeld)],
        ["Queues", able?.queues.join(", ")],
        ["Labels", pairs(able?.labels)],
        ["Runtimes", able?.runtimes.join(", ")],
        ["Runtime versions", pairs(able?.runtimeVersions)],
        ["Session", session === undefined ? undefined : `${session.epoch}.${session.number}`],
        ["Session since", momentOf(agent.sessionSince, nowMs)],
        ["Registry", agent.registry],
        ["Token", agent.token],
        ["Version", versionText(agent)],
        ["Host", agent.hostname],
        ["Address", agent.address],
        ["Name conflict", momentOf(agent.conflictAt, nowMs)],
        ["Stale reports", agent.staleReports === 0 ? undefined : String(agent.staleReports)],
      ]),
  };
}

function pairs(map: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(map ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(", ");
}
