// SPDX-License-Identifier: Apache-2.0
// `remex keys`: create, list, revoke the keys of people and programs.

import {
  CreateOperatorKeyResponseSchema,
  type OperatorKey,
  OperatorKeySchema,
  Role,
} from "@remex/client";
import type { Command } from "commander";
import { messageJson, messagesJson } from "../answer.ts";
import { usageError } from "../cli-error.ts";
import { addGroup, withExamples, wordOption } from "../command-kit.ts";
import { addCommonOptions, addSecretOptions, readCommonSettings } from "../common-options.ts";
import { credentialState, expiryText, parseExpiry } from "../expiry.ts";
import type { Runner } from "../gateway-call.ts";
import { ageOf, momentOf } from "../instants.ts";
import { type Column, factTable, listTable } from "../table.ts";
import { roleWords, valueOfWord, wordsOf } from "../words.ts";

export function addKeyCommands(program: Command, runner: Runner): void {
  const group = addGroup(
    program,
    "keys",
    "The operator keys of people and programs; all of it needs an admin key for all deployments.",
  );
  addCreate(group, runner);
  addList(group, runner);
  addRevoke(group, runner);
}

interface CreateOptions {
  readonly name: string;
  readonly role: string;
  readonly expires?: string;
  readonly allDeployments?: boolean;
}

function addCreate(group: Command, runner: Runner): void {
  const create = group
    .command("create")
    .description(
      "Makes an operator key and shows its value, this once. It is bound to --deployment, or good for all with --all-deployments.",
    )
    .requiredOption("--name <name>", "name of the key, unique among the live ones")
    .addOption(
      wordOption(
        "--role <role>",
        "what it may do; each role includes the ones before it",
        wordsOf(roleWords),
      ).makeOptionMandatory(),
    )
    .option("--expires <days>", "how long it lives: 365d, or never (required)")
    .option("--all-deployments", "good for every deployment");
  addSecretOptions(create);
  withExamples(
    create,
    "remex keys create --name airflow --role submitter --deployment default --expires never",
    "remex keys create --name on-call --role operator --all-deployments --expires 90d",
  );
  create.action((options: CreateOptions) =>
    runner.run(create, async ({ client, answer, warn, suggest, world }) => {
      const made = await client.operatorKeys.createOperatorKey({
        name: options.name,
        role: valueOfWord<Role>(roleWords, options.role) ?? Role.UNSPECIFIED,
        deployment: boundTo(create, options, runner),
        expiry: parseExpiry(options.expires),
      });
      await answer({
        data: () => messageJson(CreateOperatorKeyResponseSchema, made),
        value: made.value,
        table: () => factTable([...keyFacts(made.key, world.nowMs()), ["Value", made.value]]),
      });
      warn("the value is shown this once and cannot be read again");
      suggest("put it into a file of mode 600 and name it in REMEX_KEY_FILE");
      return undefined;
    }),
  );
}

/** What a key may reach is stated openly: no default of the environment decides it. */
function boundTo(create: Command, options: CreateOptions, runner: Runner): string {
  const { deployment, deploymentStated } = readCommonSettings(create, runner.world.env);
  if (options.allDeployments === true && deploymentStated) {
    throw usageError("--deployment and --all-deployments exclude each other");
  }
  if (options.allDeployments === true) return "";
  if (deploymentStated) return deployment;
  throw usageError(
    "what the key is good for is missing",
    "name --deployment SLUG, or --all-deployments",
  );
}

function addList(group: Command, runner: Runner): void {
  const list = group
    .command("list")
    .description("Lists the live operator keys, newest first, without their values.")
    .option("--all", "revoked and expired ones too");
  addCommonOptions(list, ["deployment"]);
  withExamples(list, "remex keys list");
  list.action((options: { all?: boolean }) =>
    runner.run(list, async ({ client, answer, world }) => {
      const withEnded = options.all ?? false;
      const { keys } = await client.operatorKeys.listOperatorKeys({ withEnded });
      await answer({
        data: () => messagesJson(OperatorKeySchema, keys),
        table: () => listTable(columns(world.nowMs()), keys),
      });
      return undefined;
    }),
  );
}

function addRevoke(group: Command, runner: Runner): void {
  const revoke = group
    .command("revoke <key>")
    .description("Ends a key at once; KEY is its id or its name, never its value.");
  addCommonOptions(revoke, ["deployment"]);
  withExamples(revoke, "remex keys revoke on-call");
  revoke.action((key: string) =>
    runner.run(revoke, async ({ client, answer, world }) => {
      const revoked = await client.operatorKeys.revokeOperatorKey({ key });
      const message = revoked.key;
      if (message === undefined) throw new Error("the answer holds no key");
      await answer({
        data: () => messageJson(OperatorKeySchema, message),
        table: () => factTable(keyFacts(message, world.nowMs())),
      });
      return undefined;
    }),
  );
}

function columns(nowMs: number): Column<OperatorKey>[] {
  return [
    { heading: "KEY", cell: (each) => each.key },
    { heading: "NAME", cell: (each) => each.name },
    { heading: "ROLE", cell: (each) => roleWords[each.role] ?? String(each.role) },
    { heading: "DEPLOYMENT", cell: (each) => each.deployment || "all" },
    { heading: "STATE", cell: (each) => credentialState(each, nowMs) },
    { heading: "EXPIRES", cell: (each) => expiryText(each, nowMs) },
    { heading: "AGE", cell: (each) => ageOf(each.createdAt, nowMs) },
  ];
}

function keyFacts(key: OperatorKey | undefined, nowMs: number): [string, string | undefined][] {
  if (key === undefined) throw new Error("the answer holds no key");
  return [
    ["Key", key.key],
    ["Name", key.name],
    ["Role", roleWords[key.role] ?? String(key.role)],
    ["Deployment", key.deployment || "all"],
    ["State", credentialState(key, nowMs)],
    ["Expires", momentOf(key.expiresAt, nowMs) ?? "never"],
    ["Revoked", momentOf(key.revokedAt, nowMs)],
  ];
}
