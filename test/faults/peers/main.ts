// SPDX-License-Identifier: Apache-2.0
// `node test/faults/peers/main.ts`: the same kill -9 of a worker for Remex, BullMQ and Celery, each at its defaults.

import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { runsOf } from "../checker.ts";
import { readJournals } from "../history.ts";
import { sleepMs } from "../scenario.ts";
import { startBullmqPeer } from "./bullmq-peer.ts";
import { startCeleryPeer } from "./celery-peer.ts";
import type { Fault, Peer, Trial } from "./peer.ts";
import { kill, treeOf } from "./processes.ts";
import { startRemexPeer } from "./remex-peer.ts";

const { values } = parseArgs({
  options: {
    peer: { type: "string", multiple: true, default: ["remex", "bullmq", "celery"] },
    trials: { type: "string", default: "1" },
    /** How long a second start is waited for; Celery's default visibility timeout is an hour. */
    wait: { type: "string", default: "100" },
  },
});
const tasks = 4;
/** Longer than any of them takes to find out, so that a copy that nobody stopped is seen beside the next one. */
const taskSeconds = 90;
const starters: Readonly<Record<string, () => Promise<Peer>>> = {
  remex: startRemexPeer,
  bullmq: startBullmqPeer,
  celery: startCeleryPeer,
};

/** Tasks that run under a process now, by their journals. */
function running(peer: Peer, pids: readonly number[]): string[] {
  return readJournals(peer.journals)
    .filter(({ event, pid }) => event === "start" && pids.includes(pid))
    .map(({ task }) => task);
}

async function tryOnce(peer: Peer, fault: Fault): Promise<Trial> {
  await peer.submit(tasks, taskSeconds);
  for (let looked = 0; looked < 300; looked++) {
    const starts = readJournals(peer.journals).filter(({ event }) => event === "start");
    if (starts.length >= tasks) break;
    await sleepMs(100);
  }
  const hits = peer.workers().map((pid) => ({ pid, tasks: running(peer, treeOf(pid)) }));
  const victim = hits.reduce((a, b) => (b.tasks.length > a.tasks.length ? b : a));
  const killedAtMs = Date.now();
  for (const pid of fault === "host" ? treeOf(victim.pid) : [victim.pid]) kill(pid);
  const until = performance.now() + Number(values.wait) * 1_000;
  const seconds = new Map<string, number>();
  while (performance.now() < until && seconds.size < victim.tasks.length) {
    await sleepMs(200);
    for (const { task, event, atMs } of readJournals(peer.journals)) {
      const again = event === "start" && atMs > killedAtMs && victim.tasks.includes(task);
      if (again && !seconds.has(task)) seconds.set(task, (atMs - killedAtMs) / 1_000);
    }
  }
  const failedAtMs = peer.failedAtMs?.();
  const journal = readJournals(peer.journals);
  const twoAtOnce = victim.tasks.filter((task) => {
    const runs = runsOf(journal.filter((line) => line.task === task));
    return runs.some((a) =>
      runs.some(
        (b) => a !== b && a.startedAtMs < b.startedAtMs && a.lastSeenAtMs > b.startedAtMs + 150,
      ),
    );
  });
  return {
    tasksHit: victim.tasks.length,
    runAgain: seconds.size,
    secondsToRunAgain: [...seconds.values()]
      .map((each) => Math.round(each * 10) / 10)
      .sort((a, b) => a - b),
    twoAtOnce: twoAtOnce.length,
    neverRunAgain: victim.tasks.length - seconds.size,
    ...(failedAtMs === undefined
      ? {}
      : { secondsToDetection: Math.round((failedAtMs - killedAtMs) / 100) / 10 }),
  };
}

process.setMaxListeners(0);
const results: Record<string, Record<string, Trial[]>> = {};
for (const name of values.peer) {
  const start = starters[name];
  if (start === undefined) throw new Error(`there is no peer ${name}`);
  const own: Record<string, Trial[]> = {};
  results[name] = own;
  for (const fault of ["host", "process"] as const) {
    for (let trial = 0; trial < Number(values.trials); trial++) {
      await using peer = await start();
      const found = await tryOnce(peer, fault);
      process.stderr.write(`${name}, kill -9 of the worker's ${fault}: ${JSON.stringify(found)}\n`);
      own[fault] = [...(own[fault] ?? []), found];
    }
  }
}
process.stdout.write(
  `${JSON.stringify({ load: loadavg(), taskSeconds, results }, undefined, 2)}\n`,
);
process.exit(0);
