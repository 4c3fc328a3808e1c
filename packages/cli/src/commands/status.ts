// SPDX-License-Identifier: Apache-2.0
// `remex status`: the replicas of the control plane and what is wrong with it.

import { GetStatusResponseSchema } from "@remex/client";
import type { Command } from "commander";
import { messageJson } from "../answer.ts";
import { withExamples } from "../command-kit.ts";
import { addCommonOptions } from "../common-options.ts";
import type { Runner } from "../gateway-call.ts";
import { ageOfDuration } from "../instants.ts";
import { factTable, listTable } from "../table.ts";

export function addStatusCommand(program: Command, runner: Runner): void {
  const status = program
    .command("status")
    .description("Shows the replicas of the control plane and what is wrong with it.");
  addCommonOptions(status, ["deployment"]);
  withExamples(status, "remex status", "remex status -o json");
  status.action(() =>
    runner.run(status, async ({ client, answer, settings }) => {
      const found = await client.status.getStatus({});
      await answer({
        data: () => messageJson(GetStatusResponseSchema, found),
        table: () => {
          const facts = factTable([
            ["Gateway", settings.url],
            ["Version", found.softwareVersion],
            ["Store epoch", found.epoch === 0n ? "the store is away" : String(found.epoch)],
            ...(found.problems.length === 0
              ? ([["Problems", "none"]] as const)
              : found.problems.map((problem) => ["Problem", problem] as const)),
          ]);
          const replicas = listTable(
            [
              { heading: "ROLE", cell: (each) => each.role },
              { heading: "REPLICA", cell: (each) => each.replica },
              { heading: "ADDRESS", cell: (each) => each.address },
              { heading: "SEEN", cell: (each) => `${ageOfDuration(each.recordAge)} ago` },
              { heading: "VERSION", cell: (each) => each.softwareVersion },
            ],
            found.replicas,
          );
          return `${facts}\n${replicas}`;
        },
      });
      return undefined;
    }),
  );
}
