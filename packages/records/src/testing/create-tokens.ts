// SPDX-License-Identifier: Apache-2.0
// A process of its own that tries to create agent tokens all at once and prints what became of each.

import { openRecords } from "../records.ts";

const [url = "", deployment = "", prefix = "", count = "0"] = process.argv.slice(2);
const records = await openRecords(url);
const results = await Promise.all(
  Array.from({ length: Number(count) }, (_, index) =>
    records.agentTokens.create({
      token: `${prefix}${String(index).padStart(4, "0")}`,
      deployment,
      name: `${prefix}-${index}`,
      description: "",
      kinds: [],
      queues: [],
      pepperVersion: 1,
      digest: "00",
      createdAtMs: 1_000,
      expiresAtMs: null,
    }),
  ),
);
await records.close();
process.stdout.write(JSON.stringify(results.map((result) => result.kind)));
