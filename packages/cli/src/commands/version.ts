// SPDX-License-Identifier: Apache-2.0
// `remex version`: the version of this program; no gateway is asked.

import type { Command } from "commander";
import manifest from "../../package.json" with { type: "json" };
import { formatAnswer } from "../answer.ts";
import { withExamples } from "../command-kit.ts";
import { addCommonOptions, readCommonSettings } from "../common-options.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Runner } from "../gateway-call.ts";

export function addVersionCommand(program: Command, runner: Runner): void {
  const version = program
    .command("version")
    .description("Prints the version of this program; `remex status` shows the control plane's.");
  addCommonOptions(version, ["deployment", "url", "keyFile", "timeout"]);
  withExamples(version, "remex version");
  version.action(async () => {
    const { format } = readCommonSettings(version, runner.world.env);
    const answer = {
      data: () => ({ version: manifest.version, node: process.version }),
      table: () => `remex ${manifest.version}\n`,
    };
    await runner.world.write(formatAnswer(answer, format));
    runner.finish(exitCodes.ok);
  });
}
