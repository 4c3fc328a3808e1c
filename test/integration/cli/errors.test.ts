// SPDX-License-Identifier: Apache-2.0
// Every way in which `remex` fails: one clear line, a hint where one helps, and the exit code.

import { chmod, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTempDir, findFreePort, type TempDir } from "../../kit/places.ts";
import { type RemexOptions, runRemex, steady } from "../../kit/remex-command.ts";
import { refusal, type StubGateway, startStubGateway } from "../../kit/stub-gateway.ts";

let gateway: StubGateway;
let dir: TempDir;

beforeAll(async () => {
  dir = await createTempDir();
  gateway = await startStubGateway({
    deployments: {
      getDeployment: ({ deployment }) => {
        switch (deployment) {
          case "unknown":
            throw refusal("deployment_unknown", Code.NotFound, "there is no deployment unknown");
          case "denied":
            throw refusal("not_allowed", Code.PermissionDenied, "key k may not call this");
          case "broken":
            throw refusal("internal", Code.Internal, "something went wrong inside");
          case "away":
            throw refusal("store_unavailable", Code.Unavailable, "the store is away");
          case "slow":
            return new Promise(() => undefined);
          default:
            throw refusal("nasty", Code.Aborted, "first line\nerror: second\u001b[31m line");
        }
      },
      createDeployment: () => {
        const text = "default is recorded but not in effect yet";
        throw refusal("recorded_not_in_effect", Code.Unavailable, text);
      },
    },
    tasks: { listTasks: () => ({ tasks: [] }) },
  });
});

afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

/** The exit code and the lines on standard error; standard output stays empty. */
async function failed(args: string, options: RemexOptions = { gateway }): Promise<string> {
  const run = await runRemex(args === "" ? [] : args.split(" "), options);
  expect(run.stdout).toBe("");
  expect(run.stderr).not.toMatch(/^ +at .*:\d+/m);
  return `${run.exitCode}\n${steady(run.stderr)}`;
}

describe("the gateway", () => {
  test.concurrent("is not there", async ({ expect }) => {
    const url = `http://127.0.0.1:${await findFreePort()}`;
    const options = { gateway: { url, key: gateway.key } };
    expect(await failed("tasks list", options)).toMatchInlineSnapshot(`
      "3
      error: cannot reach the gateway at http://127.0.0.1:PORT: connect ECONNREFUSED 127.0.0.1:PORT
      hint: is \`remex serve\` running? start it, or give its address with --url or REMEX_URL
      "
    `);
  });

  test.concurrent("is another web server", async ({ expect }) => {
    const server = createServer((_, answer) => answer.writeHead(404).end("<html>not here</html>"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const options = { gateway: { url, key: gateway.key } };
    expect(await failed("tasks list", options)).toMatchInlineSnapshot(`
      "1
      error: the answer of http://127.0.0.1:PORT is not that of a gateway: HTTP 404
      hint: check --url and REMEX_URL: they must name the gateway's address (port 8700 by default)
      "
    `);
    server.closeAllConnections();
    server.close();
  });

  test.concurrent("does not answer in time", async ({ expect }) => {
    expect(await failed("deployments get slow --timeout 300ms")).toMatchInlineSnapshot(`
      "3
      error: the gateway at http://127.0.0.1:PORT did not answer in time; whether the call took effect is unknown
      hint: repeat the call, or give it more time with --timeout
      "
    `);
  });

  test.concurrent("refuses, for reasons of its own", async ({ expect }) => {
    const names = ["unknown", "denied", "broken", "away"];
    const answers = await Promise.all(names.map((name) => failed(`deployments get ${name}`)));
    expect(answers.join("\n")).toMatchInlineSnapshot(`
      "5
      error: there is no deployment unknown

      4
      error: key k may not call this
      hint: use an operator key with a greater role; \`remex keys list\` shows them to an admin

      1
      error: something went wrong inside

      3
      error: the store is away
      "
    `);
  });

  test.concurrent("SEC-E2: refuses with text that cannot break out of its line", async ({
    expect,
  }) => {
    expect(await failed("deployments get nasty")).toMatchInlineSnapshot(`
      "1
      error: first line\\nerror: second\\x1b[31m line
      "
    `);
  });

  test.concurrent("PROTOCOL-D6: has recorded a change that is not in effect yet", async ({
    expect,
  }) => {
    expect(await failed("deployments create default")).toMatchInlineSnapshot(`
      "1
      error: default is recorded but not in effect yet
      "
    `);
  });
});

describe("the operator key", () => {
  const without = { env: {} };

  test.concurrent("is missing", async ({ expect }) => {
    expect(await failed("tasks list", without)).toMatchInlineSnapshot(`
      "4
      error: there is no operator key
      hint: give an operator key with --key-file FILE, REMEX_KEY_FILE or REMEX_KEY; the first admin key is in the file admin.key of the data folder of \`remex serve\`
      "
    `);
  });

  test.concurrent("is not accepted", async ({ expect }) => {
    const other = { url: gateway.url, key: `rmk_Other123_${"y".repeat(49)}` };
    expect(await failed("tasks list", { gateway: other })).toMatchInlineSnapshot(`
      "4
      error: the operator key is not accepted
      hint: give an operator key with --key-file FILE, REMEX_KEY_FILE or REMEX_KEY; the first admin key is in the file admin.key of the data folder of \`remex serve\`
      "
    `);
  });

  test.concurrent("is in a file that is not there", async ({ expect }) => {
    expect(
      await failed("tasks list --key-file /nowhere/admin.key", without),
    ).toMatchInlineSnapshot(`
      "4
      error: the key file /nowhere/admin.key cannot be read: ENOENT: no such file or directory, open '/nowhere/admin.key'
      hint: give an operator key with --key-file FILE, REMEX_KEY_FILE or REMEX_KEY; the first admin key is in the file admin.key of the data folder of \`remex serve\`
      "
    `);
  });

  test.concurrent("SEC-G1: is another kind of secret, which is not shown", async ({ expect }) => {
    const secret = `rmx_AbCd1234_${"z".repeat(49)}`;
    const answer = await failed("tasks list", { env: { REMEX_KEY: secret } });
    expect(answer).not.toContain("zzzz");
    expect(answer).toMatchInlineSnapshot(`
      "4
      error: REMEX_KEY does not hold an operator key (one line that begins with rmk_)
      hint: it holds an agent token, which is for remex-agent
      "
    `);
  });

  test.concurrent("SEC-W6: comes from a file, from standard input or from the environment", async ({
    expect,
  }) => {
    const file = join(dir.path, "good.key");
    await writeFile(file, `${gateway.key}\n`, { mode: 0o600 });
    const env = { REMEX_URL: gateway.url };
    const ways: [string[], RemexOptions][] = [
      [["--key-file", file], { env }],
      [[], { env: { ...env, REMEX_KEY_FILE: file } }],
      [[], { env: { ...env, REMEX_KEY: gateway.key } }],
      [["--key-file", "-"], { env, input: `${gateway.key}\n` }],
    ];
    const runs = await Promise.all(
      ways.map(([args, options]) => runRemex(["tasks", "list", "-o", "json", ...args], options)),
    );
    expect(runs).toEqual(ways.map(() => ({ exitCode: 0, stdout: "[]\n", stderr: "" })));
  });

  test.concurrent("SEC-W6: in a file that others can read is used with a warning", async ({
    expect,
  }) => {
    const file = join(dir.path, "open.key");
    await writeFile(file, gateway.key);
    await chmod(file, 0o644);
    const env = { REMEX_URL: gateway.url, REMEX_KEY_FILE: file };
    const run = await runRemex(["tasks", "list", "-o", "json"], { env });
    expect(run.exitCode).toBe(0);
    expect(run.stderr).toBe(
      `warning: ${file} can be read by others than its owner; run chmod 600 ${file}\n`,
    );
  });

  const value = `rmk_AbCd1234_${"q".repeat(49)}`;
  test.concurrent.each([
    ["as an option", ["tasks", "list", "--key-file", value]],
    ["inside an option", ["tasks", "list", `--key=${value}`]],
    ["as the name of a token", ["tokens", "revoke", value.replace("rmk", "rmx")]],
    ["in the environment of a task", ["tasks", "submit", "--env", `KEY=${value}`, "--", "env"]],
    ["in the command of a task", ["tasks", "submit", "--", "curl", "-H", `x: ${value}`]],
    ["for the control plane", ["serve", "--service-key-file", value]],
  ])("SEC-W6: on the command line is refused unseen: %s", async (_, args) => {
    const run = await runRemex(args, { gateway });
    expect(run.exitCode).toBe(2);
    expect(`${run.stdout}${run.stderr}`).not.toContain("qqqq");
    expect(run.stderr).toMatch(/^error: there is a token or key on the command line/);
  });
});

test.concurrent("SEC-W6: a wrong command line ends before any call is made", async ({ expect }) => {
  const answer = await failed("tokens create --name a --expires soon", {
    gateway: { url: "http://127.0.0.1:1", key: gateway.key },
  });
  expect(answer).toMatchInlineSnapshot(`
    "2
    error: --expires: "soon" is not a duration
    hint: write it like 500ms, 10s, 5m, 24h, 30d or 1h30m
    "
  `);
});

test.concurrent("serve takes its own options: its help, and its complaint about an unknown one", async ({
  expect,
}) => {
  const help = await runRemex(["serve", "--help"]);
  expect(help.exitCode).toBe(0);
  expect(help.stdout).toMatch(/^Usage: remex serve/);
  expect(help.stdout).toContain("--roles <names>");
  const wrong = await runRemex(["serve", "--bogus"]);
  expect(wrong.exitCode).toBe(2);
  expect(wrong.stderr).toContain("--bogus");
});
