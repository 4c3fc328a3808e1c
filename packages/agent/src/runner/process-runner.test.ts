// SPDX-License-Identifier: Apache-2.0
// The process runner as a real process: its socket, its commands, its journal, and its end.

import {
  closeSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { AgentEventJson, RunnerEventJson, StartJson } from "@remex/proto/runner/v1";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { encodeFrame, FrameReader } from "../contract/framing.ts";
import {
  endProcess,
  startRunner,
  type TestProcess,
  temporaryFolder,
} from "../testing/agent-process.ts";
import { until } from "../testing/until.ts";
import { replayJournal } from "./journal-record.ts";
import { takeStateLock } from "./state-lock.ts";

// Processes start in every test, on machines that do other things meanwhile.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const session = { epoch: "1", number: "1" };

/** The agent's end, by hand. */
class FakeAgent {
  readonly heard: RunnerEventJson[] = [];
  readonly socket: Socket;
  closed = false;

  constructor(path: string) {
    this.socket = connect(path);
    const reader = new FrameReader();
    this.socket.on("data", (piece: Buffer) => {
      for (const frame of reader.push(piece)) {
        this.heard.push(...((frame as { events?: RunnerEventJson[] }).events ?? []));
      }
    });
    this.socket.on("error", () => undefined);
    this.socket.on("close", () => {
      this.closed = true;
    });
  }

  say(...events: AgentEventJson[]): void {
    this.socket.write(encodeFrame({ events }));
  }

  hello(): void {
    this.say({ hello: { contractMin: 1, contractMax: 1, agent: "tester" } });
  }

  lease(seconds = 60, stopSeconds = 1): void {
    const remaining = `${seconds}s`;
    this.say({ lease: { session, remaining, stopTime: `${stopSeconds}s` } });
  }

  start(task: string, argv: string[], more: Partial<StartJson> = {}): void {
    const attempt = { epoch: "1", number: "1" };
    const spec = { command: { argv }, ...more.spec };
    this.say({
      start: { task, attempt, session, window: "10s", onCut: "ON_CUT_CONTINUE", ...more, spec },
    });
  }

  ended(task: string) {
    return until(`the end of ${task}`, () => this.outcomes().get(task));
  }

  outcomes() {
    return new Map(
      this.heard.flatMap(({ ended }) =>
        ended?.task !== undefined && ended.outcome !== undefined
          ? [[ended.task, ended.outcome]]
          : [],
      ),
    );
  }

  started(task: string): Promise<number> {
    return until(
      `the start of ${task}`,
      () => this.heard.find(({ started }) => started?.task === task)?.started?.pid ?? undefined,
    );
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

describe("the process runner", () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let stateDir: string;
  const processes: TestProcess[] = [];

  beforeEach(() => {
    folder = temporaryFolder();
    stateDir = join(realpathSync(folder.path), "state");
  });
  afterEach(async () => {
    for (const started of processes.splice(0)) await endProcess(started);
    folder.remove();
  });

  async function run(env: Record<string, string> = {}, lockWait = "5"): Promise<TestProcess> {
    const runner = startRunner(stateDir, env, ["--lock-wait", lockWait]);
    processes.push(runner);
    await until("the runner listens", () => runner.output().includes("runner is listening"));
    return runner;
  }

  async function serve(env: Record<string, string> = {}) {
    const runner = await run(env);
    const agent = new FakeAgent(join(stateDir, "runner.sock"));
    agent.hello();
    agent.lease();
    await until("the runner is ready", () => agent.heard.some((event) => event.ready?.ready));
    return { runner, agent };
  }

  function logOf(task: string): string {
    return readFileSync(join(stateDir, "logs", task, "1.1.log"), "utf8");
  }

  it("runs a command, captures both outputs, and tells its exit code", async () => {
    const { agent } = await serve();
    agent.start("t_a", ["/bin/sh", "-c", "echo out; echo err >&2; exit 7"]);
    expect(await agent.ended("t_a")).toMatchObject({
      kind: "OUTCOME_KIND_FAILED",
      reason: "OUTCOME_REASON_EXIT_CODE",
      exitCode: 7,
    });
    expect(logOf("t_a")).toBe("out\nerr\n");
    expect(statSync(join(stateDir, "runner.sock")).mode & 0o777).toBe(0o600);
  });

  it("PROTOCOL-G2, SEC-E5: a task sees its attempt and its own variables, and nothing of the agent's", async () => {
    const { agent } = await serve({ REMEX_AGENT_TOKEN: "rmx_canary", SECRET_OF_HOST: "canary" });
    agent.start("t_a", ["env"], { spec: { command: { argv: ["env"], env: { MINE: "yes" } } } });
    await agent.ended("t_a");
    const lines = logOf("t_a").split("\n");
    expect(lines).toContain("REMEX_TASK=t_a");
    expect(lines).toContain("REMEX_ATTEMPT=1.1");
    expect(lines).toContain("MINE=yes");
    expect(logOf("t_a")).not.toContain("canary");
  });

  it("works in the task's folder, or in a fresh one that is removed afterwards", async () => {
    const { agent } = await serve();
    const mine = join(folder.path, "mine");
    mkdirSync(mine);
    agent.start("t_cwd", ["pwd"], { spec: { command: { argv: ["pwd"], cwd: mine } } });
    agent.start("t_fresh", ["pwd"]);
    await agent.ended("t_cwd");
    await agent.ended("t_fresh");
    expect(logOf("t_cwd").trim()).toBe(realpathSync(mine));
    const fresh = logOf("t_fresh").trim();
    expect(fresh).toContain("remex-t_fresh-");
    await until("the fresh folder is gone", () => !existsSync(fresh));
  });

  it.each([
    ["a program that is nowhere", { argv: ["no-such-program"] }, "no-such-program was not found"],
    ["a path that is not there", { argv: ["/no/such"] }, "the program /no/such does not exist"],
    [
      "a folder that is not there",
      { argv: ["true"], cwd: "/no/such" },
      "directory /no/such does not",
    ],
  ])("tells %s by its name", async (_, work, message) => {
    const { agent } = await serve();
    agent.start("t_a", [], { spec: { command: work } });
    expect(await agent.ended("t_a")).toMatchObject({
      reason: "OUTCOME_REASON_START_FAILED",
      message: expect.stringContaining(message),
    });
  });

  it("ends at the timeout, and tells a signal that it did not send", async () => {
    const { agent } = await serve();
    agent.start("t_slow", ["sleep", "60"], {
      spec: { command: { argv: ["sleep", "60"] }, timeout: "0.2s" },
    });
    expect(await agent.ended("t_slow")).toMatchObject({ reason: "OUTCOME_REASON_TIMEOUT" });
    agent.start("t_killed", ["sleep", "60"]);
    process.kill(await agent.started("t_killed"), "SIGKILL");
    expect(await agent.ended("t_killed")).toMatchObject({
      reason: "OUTCOME_REASON_SIGNAL",
      signal: "SIGKILL",
    });
  });

  it("PROTOCOL-C4, PROTOCOL-G1: a stop reaches processes that left the group, and those that ignore TERM", async () => {
    const { agent } = await serve();
    const script =
      "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$ > pid; while :; do sleep 1; done' & " +
      "while :; do sleep 1; done";
    const cwd = join(folder.path, "work");
    mkdirSync(cwd);
    agent.start("t_a", [], { spec: { command: { argv: ["/bin/sh", "-c", script], cwd } } });
    const leader = await agent.started("t_a");
    const pidFile = join(cwd, "pid");
    const stray = await until("the stray runs", () =>
      existsSync(pidFile) && readFileSync(pidFile, "utf8").endsWith("\n")
        ? Number(readFileSync(pidFile, "utf8"))
        : undefined,
    );
    expect(isAlive(stray)).toBe(true);
    const attempt = { epoch: "1", number: "1" };
    agent.say({ stop: { task: "t_a", attempt, reason: "STOP_REASON_CANCELED" } });
    expect(await agent.ended("t_a")).toMatchObject({ kind: "OUTCOME_KIND_CANCELED" });
    expect(isAlive(leader)).toBe(false);
    expect(isAlive(stray)).toBe(false);
  });

  it("R23 PROTOCOL-G1: stops work under ABORT by itself when the lease ends", async () => {
    const { agent } = await serve();
    agent.start("t_abort", ["sleep", "60"], { onCut: "ON_CUT_ABORT" });
    agent.start("t_goes_on", ["sleep", "60"]);
    await agent.started("t_goes_on");
    // A newer session's lease, nearly over: the one before it is void.
    agent.say({
      lease: { session: { epoch: "1", number: "2" }, remaining: "0.1s", stopTime: "1s" },
    });
    expect(await agent.ended("t_abort")).toMatchObject({ reason: "OUTCOME_REASON_LEASE_ENDED" });
    expect(agent.outcomes().has("t_goes_on")).toBe(false);
  });

  it("PROTOCOL-G1: stops everything when the agent's end closes, syncs, removes its socket and exits", async () => {
    const { agent, runner } = await serve();
    agent.start("t_a", ["sleep", "60"]);
    const pid = await agent.started("t_a");
    agent.socket.destroy();
    expect(await runner.ended).toBe(0);
    expect(isAlive(pid)).toBe(false);
    expect(existsSync(join(stateDir, "runner.sock"))).toBe(false);
    const { live } = replayJournal(readFileSync(join(stateDir, "journal"), "utf8"));
    expect(live.get("t_a/1.1")?.outcome).toMatchObject({
      kind: "OUTCOME_KIND_ABORTED",
      reason: "OUTCOME_REASON_RUNNER_LOST",
    });
  });

  it("PROTOCOL-C1: after kill -9 the next runner ends what was left and gives the journal", async () => {
    const { agent, runner } = await serve();
    agent.start("t_done", ["true"]);
    await agent.ended("t_done");
    agent.start("t_runs", ["sleep", "60"]);
    const pid = await agent.started("t_runs");
    runner.child.kill("SIGKILL");
    await runner.ended;
    const again = await serve();
    expect(isAlive(pid)).toBe(false);
    const journal = again.agent.heard.find((event) => event.hello !== undefined)?.hello?.journal;
    expect(journal).toEqual([
      expect.objectContaining({
        task: "t_done",
        outcome: expect.objectContaining({ kind: "OUTCOME_KIND_SUCCEEDED" }),
      }),
      expect.objectContaining({
        task: "t_runs",
        outcome: expect.objectContaining({ reason: "OUTCOME_REASON_RUNNER_LOST" }),
      }),
    ]);
    const attempt = { epoch: "1", number: "1" };
    again.agent.start("t_done", ["true"]);
    await until("the known attempt is refused", () =>
      again.agent.heard.some((event) => event.refused?.reason === "known_attempt"),
    );
    again.agent.say({ forget: { task: "t_done", attempt } });
    again.agent.say({ shutdown: {} });
    expect(await again.runner.ended).toBe(0);
    const { live } = replayJournal(readFileSync(join(stateDir, "journal"), "utf8"));
    expect([...live.keys()]).toEqual(["t_runs/1.1"]);
  });

  // What work can do to get away: a session of its own, a parent that ends, an environment without marks.
  const strays = [
    ["leaves its session", 'setsid sh "$STRAY" &'],
    ["forks twice", '(setsid sh -c "sh $STRAY &" &)'],
    [
      "forks twice and cleans its environment",
      '(env -i PATH="$PATH" setsid sh -c "sh $STRAY &" &)',
    ],
  ] as const;

  /** Starts a task with a stray; gives the process ids of both. Neither ends by TERM. */
  async function startStray(agent: FakeAgent, how: string): Promise<number[]> {
    const pidFile = join(folder.path, "stray");
    const STRAY = join(folder.path, "stray.sh");
    const loop = "while :; do sleep 0.1; done\n";
    writeFileSync(STRAY, `trap : TERM\necho $$ > ${pidFile}\n${loop}`);
    const argv = ["/bin/sh", "-c", `trap : TERM\n${how}\n${loop}`];
    agent.start("t_a", argv, { spec: { command: { argv, env: { STRAY } } } });
    const leader = await agent.started("t_a");
    const stray = await until("the stray runs", () =>
      existsSync(pidFile) && readFileSync(pidFile, "utf8").endsWith("\n")
        ? Number(readFileSync(pidFile, "utf8"))
        : undefined,
    );
    expect(isAlive(stray)).toBe(true);
    return [leader, stray];
  }

  function isLocked(): boolean {
    const lock = takeStateLock(stateDir);
    if (lock.kind === "held") closeSync(lock.file);
    return lock.kind === "taken";
  }

  it.each(strays)(
    "PROTOCOL-G1: work that %s ends when the runner is killed, and only then does the lock fall",
    async (_, how) => {
      const { agent, runner } = await serve();
      agent.lease(60, 1);
      const pids = await startStray(agent, how);
      runner.child.kill("SIGKILL");
      await runner.ended;
      expect(isLocked()).toBe(true);
      expect(pids.map(isAlive)).toEqual([true, true]);
      await until("the lock falls", () => !isLocked());
      expect(pids.map(isAlive)).toEqual([false, false]);
    },
  );

  it.each(strays)(
    "PROTOCOL-G1: work that %s ends when the agent's end closes, before the runner does",
    async (_, how) => {
      const { agent, runner } = await serve();
      const pids = await startStray(agent, how);
      agent.socket.destroy();
      expect(await runner.ended).toBe(0);
      expect(pids.map(isAlive)).toEqual([false, false]);
      expect(isLocked()).toBe(false);
    },
  );

  it.each(strays)("PROTOCOL-G1: work that %s ends with its attempt", async (_, how) => {
    const { agent } = await serve();
    const pids = await startStray(agent, how);
    process.kill(pids[0] ?? 0, "SIGKILL");
    expect(await agent.ended("t_a")).toMatchObject({ signal: "SIGKILL" });
    expect(pids.map(isAlive)).toEqual([false, false]);
  });

  it("PROTOCOL-G1: a task gets neither the lock nor its leader's socket, and no variable acts on the leader", async () => {
    const { agent } = await serve();
    const argv = ["sh", "-c", "echo $PERL5OPT; ls -l /proc/self/fd"];
    const env = { PERL5OPT: "-Mno::such" };
    agent.start("t_a", argv, { spec: { command: { argv, env } } });
    expect(await agent.ended("t_a")).toMatchObject({ kind: "OUTCOME_KIND_SUCCEEDED" });
    expect(logOf("t_a")).toContain("-Mno::such");
    expect(logOf("t_a")).not.toContain("lock");
    expect(logOf("t_a")).not.toContain("socket:");
  });

  it("a program that the system will not start is told by its name", async () => {
    const { agent } = await serve();
    const program = join(folder.path, "no-interpreter");
    writeFileSync(program, "#!/no/such/interpreter\n", { mode: 0o755 });
    agent.start("t_a", [program]);
    expect(await agent.ended("t_a")).toMatchObject({
      reason: "OUTCOME_REASON_START_FAILED",
      message: expect.stringContaining("no-interpreter could not be started"),
    });
  });

  it("PROTOCOL-T6: waits for the work of a killed runner, which has the stop time to end", async () => {
    const { agent, runner } = await serve();
    agent.lease(60, 1);
    const pids = await startStray(agent, strays[0][1]);
    runner.child.kill("SIGKILL");
    await run({}, "10");
    expect(pids.map(isAlive)).toEqual([false, false]);
  });

  it("PROTOCOL-G1: refuses a state directory that another runner holds, with exit code 75", async () => {
    await run();
    const second = startRunner(stateDir, {}, ["--lock-wait", "0.3"]);
    processes.push(second);
    expect(await second.ended).toBe(75);
    expect(second.output()).toContain("is locked by another runner");
  });

  it("refuses a second agent and one without a common version, and goes on with the first", async () => {
    const { agent } = await serve();
    const second = new FakeAgent(join(stateDir, "runner.sock"));
    second.hello();
    await until("the second is refused", () => second.closed);
    expect(second.heard[0]?.hello?.error?.code).toBe("runner_busy");
    agent.start("t_a", ["true"]);
    expect(await agent.ended("t_a")).toMatchObject({ kind: "OUTCOME_KIND_SUCCEEDED" });
  });

  it("refuses an agent of another contract version", async () => {
    await run();
    const agent = new FakeAgent(join(stateDir, "runner.sock"));
    agent.say({ hello: { contractMin: 2, contractMax: 3, agent: "newer" } });
    await until("it is refused", () => agent.closed);
    expect(agent.heard[0]?.hello?.error?.code).toBe("contract_version_unsupported");
  });

  it("ends when the agent that started it dies before it has connected", async () => {
    const runner = await run();
    runner.child.stdin?.end();
    expect(await runner.ended).toBe(0);
  });

  it("says what is wrong with its arguments", async () => {
    const runner = startRunner("");
    processes.push(runner);
    expect(await runner.ended).toBe(2);
    expect(runner.output()).toContain("--state-dir is missing");
  });

  it("works in a folder whose name is too long for a socket", async () => {
    stateDir = join(realpathSync(folder.path), "d".repeat(120));
    mkdirSync(stateDir);
    writeFileSync(join(stateDir, "mark"), "");
    await run();
    expect(existsSync(join(stateDir, "runner.sock"))).toBe(true);
  });
});
