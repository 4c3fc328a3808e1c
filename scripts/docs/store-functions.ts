// SPDX-License-Identifier: Apache-2.0
// Makes docs/store-functions.md (PROTOCOL D5) from the heads of the Redis functions themselves.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const storeFolder = fileURLToPath(new URL("../../packages/store/src/", import.meta.url));
export const pageFile = fileURLToPath(new URL("../../docs/store-functions.md", import.meta.url));

/** Which service owns each aggregate of the store. */
const owners: Readonly<Record<string, string>> = {
  epoch: "every service; the first that notices a change of the server begins a new one",
  deployment: "registry",
  session: "health-monitor (leases) and registry (sessions)",
  task: "scheduler",
};

interface FunctionRow {
  readonly name: string;
  readonly does: string;
  readonly callers: string;
}

function readRow(folder: string, file: string): FunctionRow {
  const lines = readFileSync(path.join(folder, file), "utf8").split("\n");
  const head = lines.slice(
    0,
    lines.findIndex((line) => !line.startsWith("--")),
  );
  const text = head.map((line) => line.replace(/^--\s?/, ""));
  const keysAt = text.findIndex((line) => /^(Callers|KEYS)/.test(line));
  const callers = /^Callers: (.+?)\.$/.exec(text.find((line) => line.startsWith("Callers:")) ?? "");
  if (!callers?.[1]) throw new Error(`${file} has no line "-- Callers: <services>." in its head`);
  return {
    name: file.slice(0, -".lua".length),
    does: text.slice(0, keysAt).join(" "),
    callers: callers[1],
  };
}

/** The page's text. */
export function renderPage(): string {
  const parts = [
    "# The functions of the store, and who may call them",
    "",
    "Made by `pnpm docs:functions` from the heads of the Lua files; do not edit. Every key belongs to one",
    "aggregate, and only the functions of that aggregate write it.",
  ];
  for (const [aggregate, owner] of Object.entries(owners)) {
    const folder = path.join(storeFolder, aggregate, "functions");
    const files = readdirSync(folder).filter(
      (file) => file.endsWith(".lua") && !file.startsWith("prelude"),
    );
    parts.push(
      "",
      `## ${aggregate}: owned by ${owner}`,
      "",
      "| function | does | callers |",
      "|---|---|---|",
    );
    for (const row of files.sort().map((file) => readRow(folder, file))) {
      parts.push(`| \`${row.name}\` | ${row.does.replaceAll("|", "\\|")} | ${row.callers} |`);
    }
  }
  return `${parts.join("\n")}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(pageFile, renderPage());
