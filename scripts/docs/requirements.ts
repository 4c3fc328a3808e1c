// SPDX-License-Identifier: Apache-2.0
// Makes docs/requirements.md: each requirement, the tests whose titles carry its number, and how to run them.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
export const pageFile = path.join(root, "docs", "requirements.md");

/** What is required, in a few words each; the numbers stand for good. */
const requirements: Readonly<Record<number, string>> = {
  1: "an agent is a worker, a triggerer or a dag processor",
  2: "an agent heartbeats with its capabilities and queues and is handed work that fits",
  3: "work on a queue goes only to agents that listen on it",
  4: "agents need one outbound address, through proxies and private authorities",
  5: "real Airflow DAGs run on agents without database access and without DAG files on the control plane",
  6: "an agent token has a name, an expiry or none, a description, and is shown once",
  7: "at most 50 live agent tokens by default, also under concurrent creation; settable",
  8: "a wrong, expired, revoked or foreign token is refused with a clear error",
  9: "the console registers an agent with a values file",
  10: "allowed IP ranges per deployment",
  11: "the agent list shows a registered agent as healthy",
  12: "agent chart: one source of the token",
  13: "agent chart: at most one image pull secret",
  14: "agent chart: namespace rules",
  15: "agent chart: prefix, backends, bundles",
  16: "agent chart: Kubernetes and Helm versions, restricted namespaces",
  17: "a task starts only after an explicit confirmation",
  18: "three missed heartbeats fail an agent, and its work is dealt with at once",
  19: "a failed worker's tasks become available to healthy agents",
  20: "a failed triggerer's work is reassigned immediately",
  21: "a cut-off worker goes on with confirmed tasks and starts no new one",
  22: "a cut-off triggerer stops",
  23: "no second copy because of a partition beyond what the settings allow",
  24: "an outage of the control plane fails no agent",
  25: "cordon and uncordon",
  26: "delete",
  27: "version support dates",
  28: "services over Connect/gRPC with bidirectional heartbeat streams, leases in Redis",
  29: "any gRPC client can be an agent from the proto files alone",
  30: "docker-compose and Kubernetes deployments",
  31: "work on a lost agent within lost_after; zombies overwrite nothing",
  32: "Redis may be wiped under load",
  33: "a finished task's log outlives its agent",
  34: "releases",
};

const testFile = /(\.test\.ts|(^|\/)test_[^/]+\.py)$/;

/** Test files by the number of the requirement that a title in them carries. */
function findMarks(): Map<number, string[]> {
  const tracked = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { cwd: root });
  const found = new Map<number, string[]>();
  for (const file of String(tracked)
    .split("\n")
    .filter((name) => testFile.test(name))
    .sort()) {
    const text = readFileSync(path.join(root, file), "utf8");
    const marks = new Set(
      [...text.matchAll(/\bR(\d{1,2})\b(?=[\s:,)–-])/g)].map(([, digits]) => Number(digits)),
    );
    for (const mark of marks) found.set(mark, [...(found.get(mark) ?? []), file]);
  }
  return found;
}

const commandFor = (file: string): string =>
  file.endsWith(".py") ? `pytest ${file}` : `pnpm vitest run ${file}`;

/** The page's text. */
export function renderPage(): string {
  const marks = findMarks();
  const lines = [
    "# Requirements and the tests that hold them",
    "",
    "Made by `pnpm docs:requirements` from the titles of the tests; do not edit. A requirement without a test is",
    "not met yet; it comes with a later release. A test listed may hold a part of the sentence only.",
    "",
    "| number | requirement | tests, by the command that runs them |",
    "|---|---|---|",
  ];
  for (const [number, text] of Object.entries(requirements)) {
    const commands = (marks.get(Number(number)) ?? []).map((file) => `\`${commandFor(file)}\``);
    lines.push(`| R${number} | ${text} | ${commands.join("<br>") || "none yet"} |`);
  }
  return `${lines.join("\n")}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(pageFile, renderPage());
