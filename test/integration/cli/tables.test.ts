// SPDX-License-Identifier: Apache-2.0
// What `remex` shows people and programs, run for real against a gateway that gives fixed answers.

import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { runRemex, steady } from "../../kit/remex-command.ts";
import { type StubGateway, startStubGateway } from "../../kit/stub-gateway.ts";
import { fixedAnswers } from "./fixed-answers.ts";

let gateway: StubGateway;

beforeAll(async () => {
  gateway = await startStubGateway(fixedAnswers);
});

afterAll(() => gateway[Symbol.asyncDispose]());

/** What a command shows a person in the deployment `analytics`. */
function shown(...args: string[]): Promise<string> {
  return shownWithout(...args, "--deployment", "analytics");
}

async function shownWithout(...args: string[]): Promise<string> {
  const run = await runRemex(args, { gateway });
  expect(run.exitCode, run.stderr).toBe(0);
  return steady(`${run.stdout}${run.stderr === "" ? "" : `-- stderr\n${run.stderr}`}`);
}

test.concurrent("deployments", async ({ expect }) => {
  expect(await shownWithout("deployments", "list")).toMatchInlineSnapshot(`
    "DEPLOYMENT  NAME       HEARTBEAT  ON CUT    RETENTION  AGE
    analytics   Analytics  10s        continue  1d         2d
    "
  `);
  expect(await shownWithout("deployments", "get", "analytics")).toMatchInlineSnapshot(`
    "Deployment:        analytics
    Name:              Analytics
    Created:           INSTANT (2d ago)
    Revision:          3
    Heartbeat:         10s
    Stop time:         6s
    Confirm window:    15s
    On cut:            continue
    Lost after:        0s
    Brake:             on
    Max slot cost:     1000
    Max payload:       262144 bytes
    Max queued tasks:  1000000
    Task retention:    1d
    Max ended tasks:   100000
    Max agent tokens:  50
    Airflow API:       http://airflow:8080
    "
  `);
  expect(await shownWithout("deployments", "create", "analytics")).toMatchInlineSnapshot(`
    "Deployment:        analytics
    Name:              Analytics
    Created:           INSTANT (2d ago)
    Revision:          3
    Heartbeat:         10s
    Stop time:         6s
    Confirm window:    15s
    On cut:            continue
    Lost after:        0s
    Brake:             on
    Max slot cost:     1000
    Max payload:       262144 bytes
    Max queued tasks:  1000000
    Task retention:    1d
    Max ended tasks:   100000
    Max agent tokens:  50
    Airflow API:       http://airflow:8080
    -- stderr
    next: make a token for its agents: remex tokens create --deployment analytics --name NAME --expires 30d
    "
  `);
});

test.concurrent("PROTOCOL-S8: why a task is still pending", async ({ expect }) => {
  expect(await shown("tasks", "explain", "t_queued")).toMatchInlineSnapshot(`
    "t_queued is queued
    - lab-1 is cordoned (disk): uncordon, or start another agent
    - agent lab-1 handed it back 12 s ago: no\\x1b[2J
    "
  `);
});

test.concurrent("queues", async ({ expect }) => {
  expect(await shown("queues", "list")).toMatchInlineSnapshot(`
    "QUEUE    WAITING  AGENTS  AGE  DESCRIPTION
    default  12       2       2d   -
    gpu      ?        ?       5h   big ones
    "
  `);
  expect(await shown("queues", "create", "gpu")).toMatchInlineSnapshot(`
    "QUEUE  WAITING  AGENTS  AGE  DESCRIPTION
    gpu    ?        ?       5m   -
    -- stderr
    next: let agents listen on it: remex-agent --queues gpu
    "
  `);
  expect(await shown("queues", "delete", "gpu")).toMatchInlineSnapshot(`
    "queue gpu of deployment analytics is deleted
    "
  `);
});

test.concurrent("SEC-E2: agents, whose text cannot steer the terminal", async ({ expect }) => {
  expect(await shown("agents", "list")).toMatchInlineSnapshot(`
    "AGENT  KIND    HEALTH                  AVAILABILITY           HEARTBEAT  SLOTS  TASKS  QUEUES       VERSION
    lab-1  worker  healthy                 schedulable            4s ago     2/8    0      default,gpu  0.1.0
    lab-2  worker  failed (lease_expired)  schedulable            2h ago     0/4    2      default      0.1.0 (not maintained since 2027-05-01)
    lab-3  worker  suspect (beats_missed)  draining (3 left, 4m)  35s ago    3/4    3      default      0.2.0 (maintained until 2027-08-01)
    "
  `);
  expect(await shown("agents", "get", "lab-1")).toMatchInlineSnapshot(`
    "Agent:             lab-1
    Deployment:        analytics
    Kind:              worker
    Group:             lab
    Health:            healthy
    Health since:      INSTANT (3h ago)
    Availability:      schedulable
    Heartbeat:         4s ago
    Slots:             2 of 8 used
    Queues:            default, gpu
    Labels:            zone=eu
    Runtimes:          command, noop
    Runtime versions:  node=24.1.0
    Session:           1794000000.7
    Session since:     INSTANT (3h ago)
    Registry:          registry-1
    Token:             AbCd1234
    Version:           0.1.0
    Host:              lab\\x1b[2J\\u202e
    Address:           10.0.0.7
    "
  `);
});

test.concurrent("R25 R26 R27: what is done with agents is said, and left work with it", async ({
  expect,
}) => {
  expect(await shown("agents", "get", "lab-3")).toMatchInlineSnapshot(`
    "Agent:         lab-3
    Deployment:    analytics
    Kind:          worker
    Health:        suspect (beats_missed)
    Availability:  draining (3 left, 4m)
    Reason:        upgrade\\x1b[2J
    Heartbeat:     35s ago
    Slots:         3 of 4 used
    Tasks:         3
    Queues:        default
    Version:       0.2.0 (maintained until 2027-08-01)
    "
  `);
  expect(await shown("agents", "cordon", "lab-3", "--reason", "disk")).toMatchInlineSnapshot(`
    "agent lab-3 of deployment analytics gets no new work; 3 tasks on it
    "
  `);
  expect(await shown("agents", "cordon", "--group", "lab")).toMatchInlineSnapshot(`
    "GROUP  AGENTS  CORDONED    ON CUT  LOST AFTER
    lab    3       yes (move)  abort   5m
    "
  `);
  expect(await shown("agents", "uncordon", "lab-3")).toMatchInlineSnapshot(`
    "agent lab-3 of deployment analytics is not there now; it is recorded for when it comes
    "
  `);
  expect(await shown("agents", "uncordon", "--group", "lab")).toMatchInlineSnapshot(`
    "GROUP  AGENTS  CORDONED  ON CUT  LOST AFTER
    lab    3       no        abort   5m
    "
  `);
  expect(await shown("agents", "drain", "lab-3", "--deadline", "30m")).toMatchInlineSnapshot(`
    "agent lab-3 of deployment analytics gets no new work and is emptied; 3 tasks on it
    -- stderr
    next: see what is left: remex agents get lab-3 --deployment analytics
    "
  `);
  expect(await shown("agents", "delete", "lab-3", "--yes")).toMatchInlineSnapshot(`
    "agent lab-3 of deployment analytics is deleted
    the name is free again: INSTANT (in 24h)
    "
  `);
  expect(await shown("agents", "delete", "lab-3", "--force", "-y")).toMatchInlineSnapshot(`
    "agent lab-3 of deployment analytics is deleted
    given up: 3 tasks
    the name is free again: INSTANT (in 24h)
    "
  `);
  expect(await shown("agents", "restore", "lab-3")).toMatchInlineSnapshot(`
    "agent lab-3 of deployment analytics may come back: start it anew
    "
  `);
  expect(await shown("agents", "gone", "lab-3", "--yes")).toMatchInlineSnapshot(`
    "agent lab-3 is gone; given up: 1 task
    "
  `);
});

test.concurrent("PROTOCOL-L4 H1: groups and brakes", async ({ expect }) => {
  expect(await shown("groups", "list")).toMatchInlineSnapshot(`
    "GROUP    AGENTS  CORDONED    ON CUT   LOST AFTER
    lab      3       yes (move)  abort    5m
    default  ?       no          inherit  inherit
    "
  `);
  expect(
    await shown("groups", "set", "lab", "--on-cut", "abort", "--lost-after", "5m"),
  ).toMatchInlineSnapshot(`
    "GROUP  AGENTS  CORDONED    ON CUT  LOST AFTER
    lab    3       yes (move)  abort   5m
    "
  `);
  expect(await shown("agents", "brake", "list")).toMatchInlineSnapshot(`
    "OF              ENGAGED  SUSPECT   FAILED  EXTENDED BY  RELEASED
    the deployment  1m ago   29 of 40  2       10m          no
    "
  `);
  expect(await shown("agents", "brake", "release", "--yes")).toMatchInlineSnapshot(`
    "OF              ENGAGED  SUSPECT   FAILED  EXTENDED BY  RELEASED
    the deployment  1m ago   29 of 40  2       10m          yes
    "
  `);
  expect(await shown("agents", "brake", "extend", "--by", "10m")).toMatchInlineSnapshot(`
    "OF              ENGAGED  SUSPECT   FAILED  EXTENDED BY  RELEASED
    the deployment  1m ago   29 of 40  2       10m          no
    "
  `);
});

test.concurrent("SEC-E2: tasks, whose text cannot steer the terminal", async ({ expect }) => {
  expect(await shown("tasks", "list")).toMatchInlineSnapshot(`
    "TASK       QUEUE    STATE     AGENT  ATTEMPTS  RUN TIME  AGE  REASON
    t_running  gpu      starting  lab-1  1         -         3m   -
    t_failed   default  failed    lab-1  2         1m32s     2h   exit code 2
    t_queued   default  queued    -      0         -         12m  -
    "
  `);
  expect(await shown("tasks", "events", "t_trigger")).toMatchInlineSnapshot(`
    "ATTEMPT  NUMBER  AGENT  AGE  EVENT
    9        1       lab-1  2m   {"firing":1,"note":"a\\x1b[2Jb"}
    9        2       lab-1  2m   {"firing":2,"note":"a\\x1b[2Jb"}
    "
  `);
  expect(await shown("tasks", "get", "t_failed")).toMatchInlineSnapshot(`
    "Task:               t_failed
    Deployment:         analytics
    State:              failed
    Reason:             exit code 2
    Key:                key-2
    Queue:              default
    Work:               sh -c 'echo '\\''it'\\'' && exit 2'
    Working directory:  /srv
    Environment:        MODE=x
    Required labels:    zone=eu
    Slot cost:          2
    Timeout:            1h30m
    Queued:             INSTANT (2h ago)
    Ended:              INSTANT (2h ago)
    Attempts:           2
    Retries:            1 of 1
    Attempt:            1794000000.9
      stage:            ended
      agent:            lab-1
      started:          INSTANT (2h ago)
      ended:            INSTANT (2h ago)
      run time:         1m32s
      outcome:          failed
      exit code:        2
      message:          no space\\x1b]0;pwned\\x07 left
    Dropped calls:      3 kept during a cut, never sent
    "
  `);
});

test.concurrent("R6: tokens, their value shown once", async ({ expect }) => {
  const create = ["tokens", "create", "--name", "lab", "--expires"];
  expect(await shown(...create, "30d")).toMatchInlineSnapshot(`
    "Token:       AbCd1234
    Name:        lab
    Deployment:  analytics
    State:       live
    Expires:     INSTANT (in 30d)
    Kinds:       all
    Queues:      all
    Value:       rmx_the-value
    -- stderr
    warning: the value is shown this once and cannot be read again
    next: put it into a file of mode 600 and start an agent: remex-agent --token-file FILE
    "
  `);
  expect(await shown("tokens", "list", "--all")).toMatchInlineSnapshot(`
    "TOKEN     NAME  STATE    EXPIRES  LAST USED  KINDS   QUEUES       AGE  DESCRIPTION
    AbCd1234  lab   live     in 27d   5m ago     worker  default,gpu  2d   -
    ZZZZ0000  old   revoked  never    never      all     all          40d  -
    "
  `);
  expect(await shown("tokens", "revoke", "lab")).toMatchInlineSnapshot(`
    "Token:       AbCd1234
    Name:        lab
    Deployment:  analytics
    State:       revoked
    Expires:     never
    Revoked:     INSTANT (5m ago)
    Kinds:       all
    Queues:      all
    "
  `);
});

test.concurrent("keys", async ({ expect }) => {
  const create = ["keys", "create", "--name", "ci", "--role", "submitter", "--expires", "never"];
  expect(await shown(...create)).toMatchInlineSnapshot(`
    "Key:         KeyId123
    Name:        ci
    Role:        submitter
    Deployment:  analytics
    State:       live
    Expires:     never
    Value:       rmk_the-value
    -- stderr
    warning: the value is shown this once and cannot be read again
    next: put it into a file of mode 600 and name it in REMEX_KEY_FILE
    "
  `);
  expect(await shownWithout(...create, "--all-deployments")).toMatchInlineSnapshot(`
    "Key:         KeyId123
    Name:        ci
    Role:        submitter
    Deployment:  all
    State:       live
    Expires:     never
    Value:       rmk_the-value
    -- stderr
    warning: the value is shown this once and cannot be read again
    next: put it into a file of mode 600 and name it in REMEX_KEY_FILE
    "
  `);
  expect(await shownWithout("keys", "list")).toMatchInlineSnapshot(`
    "KEY       NAME       ROLE       DEPLOYMENT  STATE  EXPIRES  AGE
    KeyId123  airflow    submitter  analytics   live   never    -
    Admin000  bootstrap  admin      all         live   never    -
    "
  `);
});

test.concurrent("status", async ({ expect }) => {
  expect(await shownWithout("status")).toMatchInlineSnapshot(`
    "Gateway:      http://127.0.0.1:PORT
    Version:      0.1.0
    Store epoch:  1794000000
    Problem:      no health-monitor has a living record

    ROLE      REPLICA     ADDRESS               SEEN    VERSION
    registry  registry-1  http://10.0.0.1:8702  1s ago  0.1.0
    "
  `);
});

test.concurrent("SEC-T5: -o value prints the secret alone, the warning goes elsewhere", async ({
  expect,
}) => {
  const args = ["tokens", "create", "--name", "lab", "--expires", "never", "-o", "value"];
  const run = await runRemex(args, { gateway });
  expect(run).toEqual({
    exitCode: 0,
    stdout: "rmx_the-value\n",
    stderr: "warning: the value is shown this once and cannot be read again\n",
  });
});

test.concurrent("-o json is the contract's JSON, without hints, and -o yaml is the same", async ({
  expect,
}) => {
  const json = await runRemex(["agents", "list", "-o", "json"], { gateway });
  expect(json.stderr).toBe("");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is their absence that is tested.
  expect(json.stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  const list = JSON.parse(json.stdout);
  expect(list[0]).toMatchObject({
    agent: "lab-1",
    kind: "AGENT_KIND_WORKER",
    health: "AGENT_HEALTH_HEALTHY",
    session: { epoch: "1794000000", number: "7" },
    slotsUsed: 2,
    hostname: "lab\u001b[2J\u202e",
    staleReports: 0,
  });
  const yaml = await runRemex(["-o", "yaml", "agents", "list"], { gateway });
  expect(yaml.stdout).not.toMatch(/[\u007f-\u009f\u202e]/);
  const steadyList = (text: string) => text.replace(/"[^"]*Z"/g, '"INSTANT"');
  expect(steadyList(JSON.stringify(parse(yaml.stdout)))).toBe(steadyList(JSON.stringify(list)));
});
