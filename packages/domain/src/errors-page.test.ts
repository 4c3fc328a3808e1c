// SPDX-License-Identifier: Apache-2.0
// Keeps docs/errors.md equal to the list of failures; `vitest run -u` writes it anew.

import { expect, test } from "vitest";
import { failures } from "./errors.ts";

const head = `# Errors

Every refusal of Remex carries a stable code in an \`ErrorDetail\` (\`proto/remex/common/v1/error_detail.proto\`),
over Connect, gRPC and inside batch answers. Programs go by the code; the message is for people and may be
worded better at any time. "Retry" says whether the same call may succeed later without being changed.
This page is made from \`packages/domain/src/errors.ts\`.

| code | answered as | retry | message |
|---|---|---|---|
`;

test("docs/errors.md lists every failure as it is", async () => {
  const rows = Object.entries(failures)
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
    .map(([code, { connect, retryable, message }]) => {
      const shown = message.replaceAll("|", "\\|");
      return `| \`${code}\` | ${connect.toUpperCase()} | ${retryable ? "yes" : "no"} | ${shown} |\n`;
    });
  await expect(head + rows.join("")).toMatchFileSnapshot("../../../docs/errors.md");
});
