// SPDX-License-Identifier: Apache-2.0
// `remex deployments`: create, get, list, update.

import { collectAll, type Deployment, DeploymentSchema, eachDeployment } from "@remex/client";
import type { Command } from "commander";
import { type Answer, messageJson, messagesJson } from "../answer.ts";
import { usageError } from "../cli-error.ts";
import { addGroup, withExamples } from "../command-kit.ts";
import { addCommonOptions } from "../common-options.ts";
import { parseCount } from "../duration-text.ts";
import type { Runner } from "../gateway-call.ts";
import { ageOf, durationOf, lostAfterOf, momentOf } from "../instants.ts";
import { factTable, listTable } from "../table.ts";
import { onCutWords } from "../words.ts";
import { addSettingOptions, readSettings, type SettingOptions } from "./deployment-settings.ts";

export function addDeploymentCommands(program: Command, runner: Runner): void {
  const group = addGroup(
    program,
    "deployments",
    "The isolated parts of the control plane: each has its own queues, agents, tokens and tasks.",
  );
  addCreate(group, runner);
  addGet(group, runner);
  addList(group, runner);
  addUpdate(group, runner);
}

function addCreate(group: Command, runner: Runner): void {
  const create = group
    .command("create <deployment>")
    .description("Creates a deployment with its queue `default`; needs an admin key.");
  addSettingOptions(create);
  addCommonOptions(create, ["deployment"]);
  withExamples(create, "remex deployments create analytics --heartbeat 10s --on-cut continue");
  create.action((deployment: string, options: SettingOptions) =>
    runner.run(create, async ({ client, answer, suggest, world }) => {
      const { displayName, settings } = readSettings(options);
      const made = await client.deployments.createDeployment({
        deployment,
        displayName: displayName ?? "",
        settings,
      });
      await answer(oneDeployment(made.deployment, world.nowMs()));
      suggest(
        `make a token for its agents: remex tokens create --deployment ${deployment} --name NAME --expires 30d`,
      );
      return undefined;
    }),
  );
}

function addGet(group: Command, runner: Runner): void {
  const get = group
    .command("get <deployment>")
    .description("Shows a deployment with all its settings.");
  addCommonOptions(get, ["deployment"]);
  withExamples(get, "remex deployments get default", "remex deployments get default -o yaml");
  get.action((deployment: string) =>
    runner.run(get, async ({ client, answer, world }) => {
      const found = await client.deployments.getDeployment({ deployment });
      await answer(oneDeployment(found.deployment, world.nowMs()));
      return undefined;
    }),
  );
}

function addList(group: Command, runner: Runner): void {
  const list = group.command("list").description("Lists the deployments that the key may see.");
  addCommonOptions(list, ["deployment"]);
  withExamples(list, "remex deployments list", "remex deployments list -o json");
  list.action(() =>
    runner.run(list, async ({ client, answer, suggest, world }) => {
      const all = await collectAll(eachDeployment(client));
      const nowMs = world.nowMs();
      await answer({
        data: () => messagesJson(DeploymentSchema, all),
        table: () =>
          listTable(
            [
              { heading: "DEPLOYMENT", cell: (each) => each.deployment },
              { heading: "NAME", cell: (each) => each.displayName },
              {
                heading: "HEARTBEAT",
                cell: (each) => durationOf(each.settings?.heartbeatInterval),
              },
              { heading: "ON CUT", cell: (each) => onCutWords[each.settings?.onCut ?? 0] },
              { heading: "RETENTION", cell: (each) => durationOf(each.settings?.taskRetention) },
              { heading: "AGE", cell: (each) => ageOf(each.createdAt, nowMs) },
            ],
            all,
          ),
      });
      if (all.length === 0) suggest("create one: remex deployments create NAME");
      return undefined;
    }),
  );
}

function addUpdate(group: Command, runner: Runner): void {
  const update = group
    .command("update <deployment>")
    .description("Changes settings of a deployment; what is not named stays. Needs an admin key.");
  addSettingOptions(update);
  update.option(
    "--revision <number>",
    "change only if this revision is still in force, so that no change of another is lost",
  );
  addCommonOptions(update, ["deployment"]);
  withExamples(
    update,
    "remex deployments update default --airflow-api-url http://127.0.0.1:8080",
    "remex deployments update default --heartbeat 5s --stop-time 2s --revision 3",
  );
  update.action((deployment: string, options: SettingOptions & { revision?: string }) =>
    runner.run(update, async ({ client, answer, world }) => {
      const { displayName, settings, stated } = readSettings(options);
      if (!stated) {
        throw usageError(
          "nothing to change was named",
          "remex deployments update --help lists the settings",
        );
      }
      const { revision } = options;
      const changed = await client.deployments.updateDeployment({
        deployment,
        settings,
        ...(displayName === undefined ? {} : { displayName }),
        ...(revision === undefined
          ? {}
          : { revision: BigInt(parseCount(revision, "--revision", 1, Number.MAX_SAFE_INTEGER)) }),
      });
      await answer(oneDeployment(changed.deployment, world.nowMs()));
      return undefined;
    }),
  );
}

function oneDeployment(deployment: Deployment | undefined, nowMs: number): Answer {
  if (deployment === undefined) throw new Error("the answer holds no deployment");
  const { settings } = deployment;
  return {
    data: () => messageJson(DeploymentSchema, deployment),
    table: () =>
      factTable([
        ["Deployment", deployment.deployment],
        ["Name", deployment.displayName],
        ["Created", momentOf(deployment.createdAt, nowMs)],
        ["Revision", String(deployment.revision)],
        ["Heartbeat", durationOf(settings?.heartbeatInterval)],
        ["Stop time", durationOf(settings?.stopTime)],
        ["Confirm window", durationOf(settings?.confirmWindow)],
        ["On cut", onCutWords[settings?.onCut ?? 0]],
        ["Lost after", lostAfterOf(settings?.lostAfter)],
        ["Brake", settings?.brake === false ? "off" : "on"],
        ["Max slot cost", numberText(settings?.maxSlotCost)],
        ["Max payload", bytesText(settings?.maxPayloadBytes)],
        ["Max queued tasks", numberText(settings?.maxQueuedTasks)],
        ["Task retention", durationOf(settings?.taskRetention)],
        ["Max ended tasks", numberText(settings?.maxEndedTasks)],
        ["Max agent tokens", numberText(settings?.maxAgentTokens)],
        ["Airflow API", settings?.airflowApiUrl || "none"],
      ]),
  };
}

function numberText(value: number | undefined): string | undefined {
  return value === undefined ? undefined : String(value);
}

function bytesText(value: number | undefined): string | undefined {
  return value === undefined ? undefined : `${value} bytes`;
}
