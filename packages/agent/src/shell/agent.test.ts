// SPDX-License-Identifier: Apache-2.0
// A real agent with its real runner against a registry that the test plays, over real sockets.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { remexError } from "@remex/domain";
import {
  DeclineReason,
  ForwardResponseSchema,
  InventoryVerdict,
  ReportVerdict,
} from "@remex/proto/agent/v1";
import { OnCut, OutcomeKind, OutcomeReason, type TaskSpecSchema } from "@remex/proto/common/v1";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  endProcess,
  runnerMain,
  startAgent,
  type TestProcess,
  temporaryFolder,
} from "../testing/agent-process.ts";
import { attemptId, FakeRegistry, type FakeRegistryOptions } from "../testing/fake-registry.ts";
import { until } from "../testing/until.ts";

type Spec = MessageInitShape<typeof TaskSpecSchema>;

// Several processes start per test, on machines that do other things meanwhile.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** A runner that does not wait for a lock that somebody holds. */
const impatientRunner = `${process.execPath} ${runnerMain} --lock-wait 0`;

const echo = command("/bin/echo", "hi");

function command(...argv: string[]): Spec {
  return { work: { case: "command", value: { argv } } };
}

function shell(script: string) {
  return command("/bin/sh", "-c", script);
}

describe("an agent", () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let registry: FakeRegistry;
  const processes: TestProcess[] = [];

  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(async () => {
    for (const started of processes.splice(0)) await endProcess(started);
    await registry.stop();
    folder.remove();
  });

  async function serve(options: Partial<FakeRegistryOptions> = {}): Promise<void> {
    registry = new FakeRegistry({ heartbeatMs: 1_000, ...options });
    await registry.start();
  }

  function launch(args: string[] = [], env: Record<string, string> = {}): TestProcess {
    writeFileSync(join(folder.path, "token"), "rmx_of_the_test\n");
    const agent = startAgent(
      [
        ...["--url", registry.url, "--name", "tester", "--state-dir", join(folder.path, "state")],
        ...["--token-file", join(folder.path, "token"), "--slots", "4", ...args],
      ],
      env,
    );
    processes.push(agent);
    return agent;
  }

  async function ready(): Promise<void> {
    await until("the runner is ready", () =>
      registry.saidOf("beat").some((beat) => beat.runnerState === 1),
    );
  }

  /** Starts both and waits until the agent takes work. */
  async function start(options: Partial<FakeRegistryOptions> = {}): Promise<TestProcess> {
    await serve(options);
    const agent = launch();
    await ready();
    return agent;
  }

  function report(task: string) {
    return until(`the report of ${task}`, () =>
      registry.saidOf("report").find((said) => said.task === task),
    );
  }

  function progress(task: string) {
    return until(`the start of ${task}`, () =>
      registry.saidOf("progress").find((said) => said.task === task),
    );
  }

  it("R1, R2, R8: says hello with its token, what it is and what it can do", async () => {
    await serve();
    launch(["--queues", "gpu,default", "--labels", "zone=a", "--group", "lab"]);
    await ready();
    const [first] = registry.hellos;
    expect(first?.metadata.get("authorization")).toEqual(["Bearer rmx_of_the_test"]);
    expect(first?.hello).toMatchObject({ agent: "tester", kind: 1, protocolMin: 1 });
    expect(first?.hello.instance).toHaveLength(16);
    expect(first?.hello.capabilities).toMatchObject({
      queues: ["gpu", "default"],
      labels: { zone: "a" },
      slots: 4,
      group: "lab",
      runtimes: expect.arrayContaining(["command", "noop"]),
    });
  });

  it("R17: runs a confirmed command and reports how it ended; the journal forgets what is answered", async () => {
    await start();
    registry.offer("t_a", echo);
    registry.offer("t_b", shell("exit 3"));
    expect((await progress("t_a")).progress.case).toBe("started");
    expect((await report("t_a")).outcome).toMatchObject({ kind: OutcomeKind.SUCCEEDED });
    expect((await report("t_b")).outcome).toMatchObject({
      kind: OutcomeKind.FAILED,
      reason: OutcomeReason.EXIT_CODE,
      exitCode: 3,
    });
    const journal = join(folder.path, "state", "journal");
    await until("both are forgotten", () => {
      return readFileSync(journal, "utf8").split('"forgotten"').length === 3;
    });
  });

  it("R17: starts nothing without the confirmation", async () => {
    await start({ windowMs: 600 });
    registry.confirms = false;
    registry.offer("t_a", shell(`touch ${join(folder.path, "ran")}`));
    const declined = await until("the accept is handed back", () => registry.saidOf("decline")[0]);
    expect(declined.reason).toBe(DeclineReason.WINDOW_PASSED);
    registry.say({ case: "confirm", value: { task: "t_a", attempt: attemptId(1) } });
    await until("it is declined again", () => registry.saidOf("decline").length > 1);
    expect(existsSync(join(folder.path, "ran"))).toBe(false);
  });

  it("PROTOCOL-L5, SEC-T11: resumes its session with the session key after the registry died", async () => {
    await start({ heartbeatMs: 2_000 });
    registry.confirms = false;
    registry.offer("t_open", echo);
    registry.offer("t_runs", shell("sleep 0.3"));
    await until("both are accepted", () => registry.saidOf("accept").length === 2);
    registry.confirms = true;
    registry.say({ case: "confirm", value: { task: "t_runs", attempt: attemptId(2) } });
    await progress("t_runs");
    const { port } = registry;
    await registry.stop();
    await registry.start(port);
    const again = await until("the agent resumes", () => registry.hellos[1]);
    expect(again.metadata.get("authorization")).toEqual([]);
    expect(again.metadata.get("remex-session")).toEqual(["default/tester/1794000000.1"]);
    expect(again.metadata.get("remex-session-key-bin")).toEqual([registry.key]);
    expect(again.hello.resume?.generation).toBeGreaterThan(1n);
    const held = again.hello.inventory?.entries.map((entry) => entry.task);
    expect(held).toContain("t_open");
    registry.say({ case: "confirm", value: { task: "t_open", attempt: attemptId(1) } });
    await report("t_open");
    await report("t_runs");
  });

  it("PROTOCOL-C1: sends a report again until it is answered, over streams and kills of the agent", async () => {
    const agent = await start();
    registry.answersReports = false;
    registry.offer("t_a", echo);
    await report("t_a");
    registry.breakStream();
    await until("it is sent on the next stream", () => registry.saidOf("report").length >= 2);
    agent.child.kill("SIGKILL");
    await agent.ended;
    const before = registry.saidOf("report").length;
    const hellos = registry.hellos.length;
    launch();
    const hello = await until("the next instance says hello", () => registry.hellos[hellos]?.hello);
    const first = registry.hellos[0]?.hello;
    expect(hello.takeover).toMatchObject({
      oldInstance: first?.instance,
      oldSession: { epoch: attemptId(1).epoch, number: 1n },
    });
    expect(hello.inventory?.entries).toMatchObject([
      { task: "t_a", idempotencyKey: "key of t_a", slotCost: 1, queue: "default" },
    ]);
    await until("it sends the report", () => registry.saidOf("report").length > before);
    const verdict = ReportVerdict.ACCEPTED;
    registry.answersReports = true;
    registry.say({ case: "reportAnswer", value: { task: "t_a", attempt: attemptId(1), verdict } });
  });

  it("PROTOCOL-G1: a killed agent leaves nothing running, and the next one reports it as aborted", async () => {
    const agent = await start();
    const mark = join(folder.path, "mark");
    registry.offer("t_a", shell(`echo $$ > ${mark}; sleep 100`));
    await until("it runs", () => existsSync(mark) && readFileSync(mark, "utf8") !== "");
    const pid = Number(readFileSync(mark, "utf8"));
    agent.child.kill("SIGKILL");
    await agent.ended;
    await until("the task is gone", () => !existsSync(`/proc/${pid}`));
    launch();
    expect((await report("t_a")).outcome).toMatchObject({
      kind: OutcomeKind.ABORTED,
      reason: OutcomeReason.RUNNER_LOST,
    });
  });

  it("PROTOCOL-G4: a killed runner is replaced, and what it ran is reported as aborted", async () => {
    const agent = await start();
    registry.offer("t_a", shell("sleep 100"));
    await progress("t_a");
    const runner = await until("the runner is found", () => runnerOf(agent));
    process.kill(runner, "SIGKILL");
    await until("the beat says so", () =>
      registry.saidOf("beat").some((beat) => beat.runnerState === 3),
    );
    expect((await report("t_a")).outcome).toMatchObject({ reason: OutcomeReason.RUNNER_LOST });
    registry.offer("t_b", echo);
    await until("the next runner takes work", () => {
      const last = registry.saidOf("beat").at(-1);
      return last?.runnerState === 1;
    });
    registry.offer("t_c", echo);
    await report("t_c");
  });

  it("PROTOCOL-T6, PROTOCOL-G1: a second agent on the state directory says hello as a conflict and harms nobody", async () => {
    await start();
    registry.admit = (hello) => {
      if (hello.unguarded)
        throw remexError("agent_unguarded", { agent: "tester", deployment: "d" });
    };
    const instance = readFileSync(join(folder.path, "state", "instance"), "utf8");
    const second = launch(["--runner-command", impatientRunner]);
    await until("it is told why", () => second.output().includes("is locked by another runner"));
    registry.offer("t_a", echo);
    await report("t_a");
    const { hello } = await until("it says hello", () => registry.hellos[1]);
    expect(hello).toMatchObject({ unguarded: true, dial: 1n });
    expect(hello.takeover).toBeUndefined();
    expect(readFileSync(join(folder.path, "state", "instance"), "utf8")).toBe(instance);
    // Tried again and again, told once.
    await until("it tried again", () => second.output().includes("refuses the agent"));
    expect(second.output().split("runner cannot start").length).toBe(2);
  });

  it("PROTOCOL-C4: stops a running task when a cancel is wished", async () => {
    await start();
    registry.offer("t_a", shell("sleep 100"));
    await progress("t_a");
    registry.say({ case: "cancel", value: { task: "t_a", attempt: attemptId(1) } });
    expect((await report("t_a")).outcome).toMatchObject({ kind: OutcomeKind.CANCELED });
  });

  it("PROTOCOL-G1, PROTOCOL-T3: the runner stops work under ABORT while its agent stands still", async () => {
    const agent = await start({ heartbeatMs: 500, windowMs: 900, stopMs: 200 });
    registry.offer("t_abort", { ...shell("sleep 100"), onCut: OnCut.ABORT });
    await progress("t_abort");
    agent.child.kill("SIGSTOP");
    const journal = join(folder.path, "state", "journal");
    await until("the runner stopped it by itself", () =>
      readFileSync(journal, "utf8").includes("OUTCOME_REASON_LEASE_ENDED"),
    );
    agent.child.kill("SIGCONT");
    expect((await report("t_abort")).outcome).toMatchObject({
      kind: OutcomeKind.ABORTED,
      reason: OutcomeReason.LEASE_ENDED,
    });
  });

  it("PROTOCOL-G1: cut off, work under ABORT is stopped at the lease's end, work under CONTINUE goes on", async () => {
    await start({ heartbeatMs: 500, windowMs: 900, stopMs: 200 });
    registry.offer("t_abort", { ...shell("sleep 100"), onCut: OnCut.ABORT });
    registry.offer("t_goes_on", shell("sleep 2; exit 9"));
    await progress("t_abort");
    await progress("t_goes_on");
    const { port } = registry;
    await registry.stop();
    const journal = join(folder.path, "state", "journal");
    await until("the runner stopped it by itself", () =>
      readFileSync(journal, "utf8").includes("OUTCOME_REASON_LEASE_ENDED"),
    );
    await registry.start(port);
    expect((await report("t_abort")).outcome).toMatchObject({
      reason: OutcomeReason.LEASE_ENDED,
    });
    expect((await report("t_goes_on")).outcome).toMatchObject({ exitCode: 9 });
  });

  it("PROTOCOL-O2: SIGTERM drains: no new work, the last result, an empty goodbye, exit 0", async () => {
    const agent = await start();
    registry.offer("t_a", shell("sleep 0.5"));
    await progress("t_a");
    agent.child.kill("SIGTERM");
    await until("it says so", () => registry.saidOf("draining").length > 0);
    registry.offer("t_b", echo);
    await until("new work is declined", () =>
      registry.saidOf("decline").some((said) => said.reason === DeclineReason.DRAINING),
    );
    expect(await agent.ended).toBe(0);
    expect(registry.saidOf("report").map((said) => said.task)).toEqual(["t_a"]);
    expect(registry.saidOf("goodbye")).toMatchObject([{ empty: true }]);
    expect(existsSync(join(folder.path, "state", "runner.sock"))).toBe(false);
  });

  it("PROTOCOL-O2: a second signal stops what runs", async () => {
    const agent = await start();
    registry.offer("t_a", shell("sleep 100"));
    await progress("t_a");
    agent.child.kill("SIGTERM");
    await until("it drains", () => registry.saidOf("draining").length > 0);
    agent.child.kill("SIGTERM");
    expect(await agent.ended).toBe(0);
    expect((await report("t_a")).outcome).toMatchObject({ reason: OutcomeReason.DRAINED });
  });

  it("R8: a refused token is told in the server's words; the file's next content is used", async () => {
    await serve();
    registry.admit = (_, metadata) => {
      if (metadata.get("authorization")[0] !== "Bearer rmx_second")
        throw remexError("token_revoked");
    };
    const agent = launch();
    await until("the refusal is told", () =>
      agent.output().includes("the agent token was revoked"),
    );
    expect(agent.output()).not.toContain("rmx_of_the_test");
    // The slow retry of a refused agent is not waited for: a new process reads the file the same way.
    await endProcess(agent);
    writeFileSync(join(folder.path, "token"), "rmx_second\n");
    processes.push(
      startAgent([
        ...["--url", registry.url, "--name", "tester", "--state-dir", join(folder.path, "state")],
        ...["--token-file", join(folder.path, "token")],
      ]),
    );
    await ready();
  });

  it("says which step of the connection failed and what to do", async () => {
    await serve();
    const { port } = registry;
    await registry.stop();
    const agent = launch();
    const finding = `nothing listens on 127.0.0.1:${port}`;
    await until("the step is told", () => agent.output().includes(finding));
    expect(agent.output()).toContain('"step":"tcp"');
    await registry.start(port);
    await ready();
  });

  it("SEC-E5: the token is in no argument and no environment of runner and tasks", async () => {
    await serve();
    const agent = startAgent(
      ["--url", registry.url, "--name", "tester", "--state-dir", join(folder.path, "state")],
      { REMEX_AGENT_TOKEN: "rmx_canary" },
    );
    processes.push(agent);
    await ready();
    expect(registry.hellos[0]?.metadata.get("authorization")).toEqual(["Bearer rmx_canary"]);
    const runner = await until("the runner is found", () => runnerOf(agent));
    for (const file of ["environ", "cmdline"]) {
      expect(readFileSync(`/proc/${runner}/${file}`, "latin1")).not.toContain("canary");
    }
    registry.offer("t_a", shell("env"));
    await report("t_a");
    const log = join(folder.path, "state", "logs", "t_a", "1794000000.1.log");
    expect(readFileSync(log, "utf8")).not.toContain("canary");
  });

  it("sends a log from an offset, and follows it until the attempt has ended", async () => {
    await start();
    registry.offer("t_a", shell("echo one; sleep 0.6; echo two"));
    await progress("t_a");
    const fetch = { fetch: "f1", task: "t_a", attempt: attemptId(1), offset: 1n, limit: 0n };
    registry.say({ case: "logFetch", value: { ...fetch, follow: true } });
    await until("it is complete", () => registry.logs.at(-1)?.complete);
    const text = Buffer.concat(registry.logs.map((part) => part.data)).toString("utf8");
    expect(text).toBe("ne\ntwo\n");
    expect(registry.logs[0]).toMatchObject({ fetch: "f1", offset: 1n });
  });

  it("says why there is no log", async () => {
    await start();
    registry.say({
      case: "logFetch",
      value: { fetch: "f1", task: "t_unknown", offset: 0n, limit: 0n, follow: false },
    });
    const part = await until("the refusal", () => registry.logs[0]);
    expect(part.error?.code).toBe("log_unknown");
  });

  it("R4, PROTOCOL-E1: a task's calls of Airflow's API go over the session, with its attempt", async () => {
    await serve();
    registry.forward = (call) => {
      const body: Buffer[] = [];
      let head = "";
      call.on("data", ({ part }) => {
        if (part.case === "head") {
          const { task, attempt, method, path } = part.value;
          head = `${task} ${attempt?.number} ${method} ${path}`;
        } else if (part.case === "body") body.push(Buffer.from(part.value));
      });
      call.on("end", () => {
        const headers = [
          { name: "Refreshed-API-Token", value: "next" },
          { name: "content-type", value: "text/plain" },
        ];
        call.write(
          create(ForwardResponseSchema, {
            part: { case: "head", value: { status: 207, headers } },
          }),
        );
        const text = `${head} ${Buffer.concat(body).length}`;
        call.write(
          create(ForwardResponseSchema, { part: { case: "body", value: Buffer.from(text) } }),
        );
        call.end();
      });
    };
    launch(["--runtime", "airflow", "--runner-command", callingRunner()]);
    await ready();
    registry.offer("t_air", {
      work: { case: "airflow", value: { workloadJson: "{}", workloadToken: "secret" } },
    });
    const message = (await report("t_air")).outcome?.message;
    expect(message).toBe("207 next t_air 1 POST /execution/x?y=1 300000");
  });

  /** A stand-in for the Airflow runner: it calls the address that its start holds. */
  function callingRunner(): string {
    const program = fileURLToPath(new URL("../testing/calling-runner.ts", import.meta.url));
    // The command is split at spaces, which may be in these paths.
    const runner = join(folder.path, "runner");
    const script = `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`;
    writeFileSync(runner, script, { mode: 0o755 });
    return runner;
  }

  /** Cuts the agent off while a task changes things, then lets it come back; gives what reached Airflow. */
  async function changeWhileCut(verdict: InventoryVerdict): Promise<string[]> {
    await serve();
    const arrived: string[] = [];
    registry.forward = (call) => {
      let what = "";
      call.on("data", ({ part }) => {
        if (part.case === "head") what = `${part.value.method} ${part.value.path} `;
        else what += Buffer.from(part.value ?? []).toString();
      });
      call.on("end", () => {
        arrived.push(what.replace("/execution/", ""));
        call.write(
          create(ForwardResponseSchema, { part: { case: "head", value: { status: 204 } } }),
        );
        call.end();
      });
    };
    launch(["--runtime", "airflow", "--runner-command", callingRunner()]);
    await ready();
    registry.offer("t_air", { work: { case: "airflow", value: { workloadJson: "change" } } });
    await progress("t_air");
    const { port } = registry;
    await registry.stop();
    const state = join(folder.path, "state");
    // The agent must know of the cut, or it would only find out by these calls.
    writeFileSync(join(state, "go"), "");
    const kept = () =>
      readdirSync(join(state, "calls")).map((file) =>
        readFileSync(join(state, "calls", file), "utf8"),
      );
    await until("three calls are kept", () => kept().join("").split("\n").length === 4);
    await registry.start(port);
    const hello = await until("the agent is back", () => registry.hellos[1]?.hello);
    // For the control plane an attempt with kept calls goes on.
    expect(hello.inventory?.entries).toMatchObject([{ task: "t_air", state: 2 }]);
    await until("it has beaten", () => registry.saidOf("beat").length > 1);
    expect(registry.saidOf("report")).toEqual([]);
    expect(arrived).toEqual([]);
    const verdicts = [{ task: "t_air", attempt: attemptId(1), verdict }];
    registry.say({ case: "inventoryAnswer", value: { verdicts } });
    const { outcome, droppedCalls } = await report("t_air");
    expect(droppedCalls).toBe(verdict === InventoryVerdict.KILL ? 3 : 0);
    // The task was told that it may go on: heartbeats too (E2).
    expect(outcome?.message).toBe("204 201 204 204");
    await until("nothing is kept any more", () => kept().length === 0);
    return arrived;
  }

  it("PROTOCOL-E1, PROTOCOL-E2: calls made during a cut reach Airflow after KEEP, in order, before the result", async () => {
    expect(await changeWhileCut(InventoryVerdict.KEEP)).toEqual([
      "PATCH task-instances/1/state first",
      "POST xcoms/d/r/t/k second",
      "PATCH task-instances/1/state third",
    ]);
  });

  it("PROTOCOL-E1: calls made during a cut are dropped when the attempt is not current any more", async () => {
    expect(await changeWhileCut(InventoryVerdict.KILL)).toEqual([]);
  });

  it("refuses nonsense in its settings, all of it at once", async () => {
    await serve();
    const agent = startAgent(
      ["--url", "ftp://x", "--name", "Not Good", "--kind", "plumber", "--slots", "0", "--bogus"],
      { REMEX_AGENT_TOKEN: "" },
    );
    processes.push(agent);
    expect(await agent.ended).toBe(2);
    for (const word of ["ftp://x", "Not Good", "plumber", "--slots", "--bogus"]) {
      expect(agent.output()).toContain(word);
    }
  });
});

/** The process id of an agent's runner. */
function runnerOf(agent: TestProcess): number | undefined {
  const { pid } = agent.child;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
  return Number(children[0]) || undefined;
}
