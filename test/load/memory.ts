// SPDX-License-Identifier: Apache-2.0
// `pnpm load:memory`: what one bundled agent and its runner hold at rest, as JSON; medians of three agents.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { AgentHealth } from "@remex/proto/health/v1";
import { startAgent } from "../kit/agent-process.ts";
import { startControlPlane } from "../kit/control-plane.ts";
import { operatorOf } from "../kit/operator.ts";
import { waitFor } from "../kit/wait.ts";
import { processTree } from "./cpu-time.ts";
import { median, round } from "./side.ts";

const deployment = "memory";
const agentFolder = fileURLToPath(new URL("../../packages/agent/", import.meta.url));
const bundled = `${agentFolder}dist/remex-agent.mjs`;
/** Long enough for the first beats and for what the start left behind to be collected. */
const restMs = 20_000;
const mebibyte = 1024 * 1024;

execFileSync(process.execPath, ["bundle.ts"], { cwd: agentFolder });
const plane = await startControlPlane();
const operator = operatorOf(plane, deployment);
await operator.createDeployment();
const token = await operator.createToken("memory");
const rounds: { agent: number; runner: number }[] = [];
try {
  for (const name of ["one", "two", "three"]) {
    await using agent = await startAgent({
      target: plane.agentsTarget,
      token,
      name,
      main: bundled,
    });
    await waitFor(
      async () => {
        const shown = await operator.agents.getAgent({ deployment, agent: name });
        return shown.agent?.health === AgentHealth.HEALTHY;
      },
      { what: `${name} healthy` },
    );
    await new Promise((resolve) => setTimeout(resolve, restMs));
    const { pid } = agent.program;
    const tree = processTree([pid]);
    const own = tree.get(pid)?.rssBytes ?? 0;
    const all = [...tree.values()].reduce((sum, { rssBytes }) => sum + rssBytes, 0);
    rounds.push({ agent: own / mebibyte, runner: (all - own) / mebibyte });
  }
} finally {
  await plane.stop();
}
console.log(
  JSON.stringify(
    {
      node: process.version,
      agentMiB: round(median(rounds.map(({ agent }) => agent))),
      runnerMiB: round(median(rounds.map(({ runner }) => runner))),
    },
    undefined,
    2,
  ),
);
process.exit(0);
