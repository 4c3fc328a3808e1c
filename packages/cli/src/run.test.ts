// SPDX-License-Identifier: Apache-2.0
// Proves that every mistake on the command line is told in one line with a hint, before any call.

import { describe, expect, test } from "vitest";
import { createFakeWorld } from "./fake-world.ts";
import { runCommand } from "./run.ts";

/** A port that nobody may listen on: a command that made a call would say that it cannot reach it. */
const env = { REMEX_URL: "http://127.0.0.1:1", REMEX_KEY: `rmk_AbCd1234_${"k".repeat(49)}` };

async function told(line: string, more: Record<string, string> = {}): Promise<string> {
  const world = createFakeWorld({ ...env, ...more });
  const exitCode = await runCommand(line === "" ? [] : line.split(" "), world);
  expect(world.stdout()).toBe("");
  return `${exitCode} ${world.stderr()}`;
}

const mistakes = [
  "task",
  "tasks lst",
  "tasks list --sate queued",
  "tasks list --state done",
  "tasks list --limit many",
  "tasks list -o xml",
  "tasks list -o value",
  "tasks list --timeout soon",
  "tasks list --timeout 0s",
  "tasks list --url gateway",
  "tasks list --url gateway:8700",
  "tasks list --url http://me:secret@gateway",
  "tasks list --url http://gateway/?a=b",
  "tasks list extra",
  "tasks get",
  "tasks submit",
  "tasks submit ls -l",
  "tasks submit --noop -- ls",
  "tasks submit --env NAME -- ls",
  "tasks submit --label =x -- ls",
  "tasks submit --timeout 5 -- ls",
  "tasks submit --on-lost wait -- ls",
  "tasks submit --slot-cost 0 -- ls",
  "tasks submit --priority 2147483648 -- ls",
  "tasks submit --file /nowhere/batch.yaml",
  "tasks submit --file batch.yaml -- ls",
  "tasks submit --file batch.yaml --key a",
  "tasks cancel",
  "tasks logs t_1 --attempt 7",
  "tokens create --expires 3d",
  "tokens create --name a",
  "tokens create --name a --expires soon",
  "tokens create --name a --expires 36h",
  "tokens create --name a --expires 4000d",
  "tokens create --name a --expires 1d --kind robot",
  "keys create --name a --expires never",
  "keys create --name a --role boss --expires never",
  "keys create --name a --role viewer --expires never",
  "keys create --name a --role viewer --expires never --deployment a --all-deployments",
  "agents cordon",
  "agents cordon a --group b",
  "agents drain a --deadline soon",
  "agents delete a",
  "agents gone a",
  "agents brake extend",
  "groups set a",
  "groups set a --on-cut stop",
  "groups set a --lost-after soon",
  "deployments get",
  "deployments update a",
  "deployments update a --heartbeat fast",
  "deployments update a --max-payload big",
  "deployments update a --on-cut stop",
  "deployments update a --display-name x --revision 0",
];

describe("a wrong command line", () => {
  test("is answered with exit code 2, what is wrong and how to go on", async () => {
    const answers: string[] = [];
    for (const line of mistakes) answers.push(`$ remex ${line}\n${await told(line)}`);
    expect(answers.join("\n")).toMatchInlineSnapshot(`
      "$ remex task
      2 error: unknown command 'task' (Did you mean tasks?)
      hint: remex --help shows what it takes

      $ remex tasks lst
      2 error: unknown command 'lst' (Did you mean list?)
      hint: remex tasks --help shows what it takes

      $ remex tasks list --sate queued
      2 error: unknown option '--sate' (Did you mean --state?)
      hint: remex tasks list --help shows what it takes

      $ remex tasks list --state done
      2 error: --state: "done" is not one of queued, assigned, held, succeeded, failed, canceled

      $ remex tasks list --limit many
      2 error: --limit: "many" is not a whole number from 0 to 1000000

      $ remex tasks list -o xml
      2 error: option '-o, --output <format>' argument 'xml' is invalid. Allowed choices are table, json, yaml.
      hint: remex tasks list --help shows what it takes

      $ remex tasks list -o value
      2 error: option '-o, --output <format>' argument 'value' is invalid. Allowed choices are table, json, yaml.
      hint: remex tasks list --help shows what it takes

      $ remex tasks list --timeout soon
      2 error: --timeout: "soon" is not a duration
      hint: write it like 500ms, 10s, 5m, 24h, 30d or 1h30m

      $ remex tasks list --timeout 0s
      2 error: --timeout must be more than 0

      $ remex tasks list --url gateway
      2 error: the gateway's URL "gateway" is not a URL
      hint: write it like http://127.0.0.1:8700

      $ remex tasks list --url gateway:8700
      2 error: the gateway's URL must begin with http:// or https://, not gateway://
      hint: write it like http://127.0.0.1:8700

      $ remex tasks list --url http://me:secret@gateway
      2 error: the gateway's URL must hold no user name and no password
      hint: the key is given by --key-file, REMEX_KEY_FILE or REMEX_KEY

      $ remex tasks list --url http://gateway/?a=b
      2 error: the gateway's URL must hold no query and no fragment
      hint: write it like http://127.0.0.1:8700

      $ remex tasks list extra
      2 error: too many arguments for 'list'. Expected 0 arguments but got 1: extra.
      hint: remex tasks list --help shows what it takes

      $ remex tasks get
      2 error: missing required argument 'task'
      hint: remex tasks get --help shows what it takes

      $ remex tasks submit
      2 error: there is no command
      hint: write it after two dashes: remex tasks submit -- CMD ARGS...

      $ remex tasks submit ls -l
      2 error: unknown option '-l'
      hint: options of the command to run come after two dashes: remex tasks submit -- ls -l

      $ remex tasks submit --noop -- ls
      2 error: a noop has no command

      $ remex tasks submit --env NAME -- ls
      2 error: --env: "NAME" is not of the form KEY=VALUE

      $ remex tasks submit --label =x -- ls
      2 error: --label: "=x" is not of the form KEY=VALUE

      $ remex tasks submit --timeout 5 -- ls
      2 error: --timeout: "5" is not a duration
      hint: write it like 500ms, 10s, 5m, 24h, 30d or 1h30m

      $ remex tasks submit --on-lost wait -- ls
      2 error: option '--on-lost <what>' argument 'wait' is invalid. Allowed choices are requeue, fail.
      hint: remex tasks submit --help shows what it takes

      $ remex tasks submit --slot-cost 0 -- ls
      2 error: --slot-cost: "0" is not a whole number from 1 to 4294967295

      $ remex tasks submit --priority 2147483648 -- ls
      2 error: --priority: "2147483648" is not a whole number from -2147483648 to 2147483647

      $ remex tasks submit --file /nowhere/batch.yaml
      2 error: --file: ENOENT: no such file or directory, open '/nowhere/batch.yaml'

      $ remex tasks submit --file batch.yaml -- ls
      2 error: --file excludes a command, --noop, --trigger and --key
      hint: write them into the file

      $ remex tasks submit --file batch.yaml --key a
      2 error: --file excludes a command, --noop, --trigger and --key
      hint: write them into the file

      $ remex tasks cancel
      2 error: missing required argument 'task'
      hint: remex tasks cancel --help shows what it takes

      $ remex tasks logs t_1 --attempt 7
      2 error: --attempt: "7" is not an attempt
      hint: write it as \`remex tasks get\` shows it: 1794000000.7

      $ remex tokens create --expires 3d
      2 error: required option '--name <name>' not specified
      hint: remex tokens create --help shows what it takes

      $ remex tokens create --name a
      2 error: --expires is missing
      hint: state it in days, like --expires 30d, or --expires never

      $ remex tokens create --name a --expires soon
      2 error: --expires: "soon" is not a duration
      hint: write it like 500ms, 10s, 5m, 24h, 30d or 1h30m

      $ remex tokens create --name a --expires 36h
      2 error: --expires: 36h is not a whole number of days from 1d to 3650d
      hint: state it in days, like --expires 30d, or --expires never

      $ remex tokens create --name a --expires 4000d
      2 error: --expires: 4000d is not a whole number of days from 1d to 3650d
      hint: state it in days, like --expires 30d, or --expires never

      $ remex tokens create --name a --expires 1d --kind robot
      2 error: --kind: "robot" is not one of worker, triggerer, dag-processor

      $ remex keys create --name a --expires never
      2 error: required option '--role <role>' not specified
      hint: remex keys create --help shows what it takes

      $ remex keys create --name a --role boss --expires never
      2 error: option '--role <role>' argument 'boss' is invalid. Allowed choices are viewer, submitter, operator, admin.
      hint: remex keys create --help shows what it takes

      $ remex keys create --name a --role viewer --expires never
      2 error: what the key is good for is missing
      hint: name --deployment SLUG, or --all-deployments

      $ remex keys create --name a --role viewer --expires never --deployment a --all-deployments
      2 error: --deployment and --all-deployments exclude each other

      $ remex agents cordon
      2 error: name one agent, or a group with --group

      $ remex agents cordon a --group b
      2 error: name one agent, or a group with --group

      $ remex agents drain a --deadline soon
      2 error: --deadline: "soon" is not a duration
      hint: write it like 500ms, 10s, 5m, 24h, 30d or 1h30m

      $ remex agents delete a
      2 error: agent a of deployment default is to be deleted; nobody can be asked here
      hint: say it with --yes

      $ remex agents gone a
      2 error: if agent a still runs its tasks somewhere, each of them will run twice; nobody can be asked here
      hint: say it with --yes

      $ remex agents brake extend
      2 error: required option '--by <duration>' not specified
      hint: remex agents brake extend --help shows what it takes

      $ remex groups set a
      2 error: nothing to set
      hint: name --on-cut or --lost-after

      $ remex groups set a --on-cut stop
      2 error: option '--on-cut <what>' argument 'stop' is invalid. Allowed choices are continue, abort, inherit.
      hint: remex groups set --help shows what it takes

      $ remex groups set a --lost-after soon
      2 error: --lost-after: "soon" is not a duration
      hint: write it like 500ms, 10s, 5m, 24h, 30d or 1h30m

      $ remex deployments get
      2 error: missing required argument 'deployment'
      hint: remex deployments get --help shows what it takes

      $ remex deployments update a
      2 error: nothing to change was named
      hint: remex deployments update --help lists the settings

      $ remex deployments update a --heartbeat fast
      2 error: --heartbeat: "fast" is not a duration
      hint: write it like 500ms, 10s, 5m, 24h, 30d or 1h30m

      $ remex deployments update a --max-payload big
      2 error: --max-payload: "big" is not a size
      hint: write it like 262144, 256KiB or 1MiB

      $ remex deployments update a --on-cut stop
      2 error: option '--on-cut <what>' argument 'stop' is invalid. Allowed choices are continue, abort.
      hint: remex deployments update --help shows what it takes

      $ remex deployments update a --display-name x --revision 0
      2 error: --revision: "0" is not a whole number from 1 to 9007199254740991
      "
    `);
    for (const answer of answers) expect(answer).toMatch(/\n2 error: .+\n(hint: .+\n)?$/);
  });

  test("of a group is answered with the group's help", async () => {
    const answer = await told("tasks");
    expect(answer).toMatch(/^2 Usage: remex tasks/);
    expect(answer).toContain("\nerror: remex tasks needs a command\nhint: remex tasks --help");
    expect(await told("")).toContain("\nerror: remex needs a command\nhint: remex --help");
  });

  test("counts the environment in", async () => {
    expect(await told("tasks list", { REMEX_TIMEOUT: "long" })).toMatch(
      /^2 error: --timeout: "long"/,
    );
    expect(await told("tasks list", { REMEX_URL: "nowhere" })).toMatch(
      /^2 error: the gateway's URL/,
    );
  });
});

test("the option nearest to the end of the line holds", async () => {
  const world = createFakeWorld();
  await runCommand(["-o", "yaml", "version", "-o", "json"], world);
  expect(JSON.parse(world.stdout())).toMatchObject({ version: expect.any(String) });
});
