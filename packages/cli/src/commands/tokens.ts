// SPDX-License-Identifier: Apache-2.0
// `remex tokens`: create, list, revoke the tokens that agents register with.

import {
  type AgentKind,
  type AgentToken,
  AgentTokenSchema,
  CreateAgentTokenResponseSchema,
  collectAll,
  eachAgentToken,
} from "@remex/client";
import type { Command } from "commander";
import { messageJson, messagesJson } from "../answer.ts";
import { usageError } from "../cli-error.ts";
import { addGroup, gatherList, withExamples } from "../command-kit.ts";
import { addCommonOptions, addSecretOptions } from "../common-options.ts";
import { credentialState, expiryText, parseExpiry } from "../expiry.ts";
import type { Runner } from "../gateway-call.ts";
import { ageOf, momentOf } from "../instants.ts";
import { type Column, factTable, listTable } from "../table.ts";
import { kindWords, valueOfWord, wordsOf } from "../words.ts";

export function addTokenCommands(program: Command, runner: Runner): void {
  const group = addGroup(
    program,
    "tokens",
    "The tokens that the agents of a deployment register with.",
  );
  addCreate(group, runner);
  addList(group, runner);
  addRevoke(group, runner);
}

interface CreateOptions {
  readonly name?: string;
  readonly expires?: string;
  readonly description?: string;
  readonly kind?: readonly string[];
  readonly queue?: readonly string[];
}

function addCreate(group: Command, runner: Runner): void {
  const create = group
    .command("create")
    .description("Makes an agent token and shows its value, this once; needs an operator key.")
    .requiredOption("--name <name>", "name of the token, unique among the live ones")
    .option("--expires <days>", "how long it lives: 30d, or never (required)")
    .option("--description <text>", "text for people")
    .option(
      "--kind <kind>",
      `only for agents of this kind, may be repeated: ${wordsOf(kindWords).join(", ")} (default: all)`,
      gatherList,
    )
    .option("--queue <queue>", "only for this queue, may be repeated (default: all)", gatherList);
  addSecretOptions(create);
  withExamples(
    create,
    "remex tokens create --name warehouse --expires 90d",
    "(umask 077; remex tokens create --name lab --expires never -o value > agent.token)",
  );
  create.action((options: CreateOptions) =>
    runner.run(create, async ({ client, deployment, answer, warn, suggest, world }) => {
      const { name = "", description = "", kind = [], queue = [] } = options;
      const made = await client.agentTokens.createAgentToken({
        deployment,
        name,
        description,
        kinds: kind.map(parseKind),
        queues: [...queue],
        expiry: parseExpiry(options.expires),
      });
      await answer({
        data: () => messageJson(CreateAgentTokenResponseSchema, made),
        value: made.value,
        table: () => factTable([...tokenFacts(made.token, world.nowMs()), ["Value", made.value]]),
      });
      warn("the value is shown this once and cannot be read again");
      suggest("put it into a file of mode 600 and start an agent: remex-agent --token-file FILE");
      return undefined;
    }),
  );
}

function parseKind(word: string): AgentKind {
  const kind = valueOfWord<AgentKind>(kindWords, word);
  if (kind === undefined) {
    throw usageError(
      `--kind: ${JSON.stringify(word)} is not one of ${wordsOf(kindWords).join(", ")}`,
    );
  }
  return kind;
}

function addList(group: Command, runner: Runner): void {
  const list = group
    .command("list")
    .description("Lists the live agent tokens, newest first, without their values.")
    .option("--all", "revoked and expired ones too");
  addCommonOptions(list);
  withExamples(list, "remex tokens list --deployment analytics --all");
  list.action((options: { all?: boolean }) =>
    runner.run(list, async ({ client, deployment, answer, suggest, world }) => {
      const withEnded = options.all ?? false;
      const tokens = await collectAll(eachAgentToken(client, { deployment, withEnded }));
      await answer({
        data: () => messagesJson(AgentTokenSchema, tokens),
        table: () => listTable(columns(world.nowMs()), tokens),
      });
      if (tokens.length === 0) suggest("make one: remex tokens create --name NAME --expires 30d");
      return undefined;
    }),
  );
}

function addRevoke(group: Command, runner: Runner): void {
  const revoke = group
    .command("revoke <token>")
    .description(
      "Ends a token at once, and with it the sessions that it opened; TOKEN is its id or its name. Needs an operator key.",
    );
  addCommonOptions(revoke);
  withExamples(revoke, "remex tokens revoke warehouse");
  revoke.action((token: string) =>
    runner.run(revoke, async ({ client, deployment, answer, world }) => {
      const revoked = await client.agentTokens.revokeAgentToken({ deployment, token });
      const message = revoked.token;
      if (message === undefined) throw new Error("the answer holds no token");
      await answer({
        data: () => messageJson(AgentTokenSchema, message),
        table: () => factTable(tokenFacts(message, world.nowMs())),
      });
      return undefined;
    }),
  );
}

function columns(nowMs: number): Column<AgentToken>[] {
  return [
    { heading: "TOKEN", cell: (each) => each.token },
    { heading: "NAME", cell: (each) => each.name },
    { heading: "STATE", cell: (each) => credentialState(each, nowMs) },
    { heading: "EXPIRES", cell: (each) => expiryText(each, nowMs) },
    { heading: "LAST USED", cell: (each) => lastUsed(each, nowMs) },
    { heading: "KINDS", cell: kindsText },
    { heading: "QUEUES", cell: (each) => each.queues.join(",") || "all" },
    { heading: "AGE", cell: (each) => ageOf(each.createdAt, nowMs) },
    { heading: "DESCRIPTION", cell: (each) => each.description },
  ];
}

function tokenFacts(token: AgentToken | undefined, nowMs: number): [string, string | undefined][] {
  if (token === undefined) throw new Error("the answer holds no token");
  return [
    ["Token", token.token],
    ["Name", token.name],
    ["Description", token.description],
    ["Deployment", token.deployment],
    ["State", credentialState(token, nowMs)],
    ["Expires", momentOf(token.expiresAt, nowMs) ?? "never"],
    ["Revoked", momentOf(token.revokedAt, nowMs)],
    ["Last used", momentOf(token.lastUsedAt, nowMs)],
    ["Kinds", kindsText(token)],
    ["Queues", token.queues.join(", ") || "all"],
  ];
}

function kindsText(token: AgentToken): string {
  return token.kinds.map((kind) => kindWords[kind] ?? String(kind)).join(",") || "all";
}

function lastUsed(token: AgentToken, nowMs: number): string {
  return token.lastUsedAt === undefined ? "never" : `${ageOf(token.lastUsedAt, nowMs)} ago`;
}
