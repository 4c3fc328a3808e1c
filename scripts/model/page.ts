// SPDX-License-Identifier: Apache-2.0
// The tables of docs/model/README.md, made from the committed verdicts.

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { modelDir, type Variant } from "./verdicts.ts";

export const pageFile = path.join(modelDir, "README.md");

const begin = "<!-- verdicts: made by `pnpm model --record` -->";
const end = "<!-- end of the verdicts -->";

const number = (value: number | undefined): string =>
  value === undefined ? "-" : value.toLocaleString("en-US");

function rows(variants: readonly Variant[]): string[] {
  return variants.map(({ model, name, flags, size, about, verdict, found }) => {
    const shown = verdict === "passes" || verdict === "reached" ? verdict : `**${verdict} breaks**`;
    const figures = [number(found?.states), number(found?.transitions), number(found?.seconds)];
    const cells = [`\`${model}/${name}\``, about, `\`${flags}\``, size, shown, ...figures];
    return `| ${cells.join(" | ")} |`;
  });
}

const head = [
  "| run | what | flags | size | verdict | states | transitions | seconds |",
  "|---|---|---|---|---|---|---|---|",
];

function section(title: string, variants: readonly Variant[]): string[] {
  return variants.length === 0 ? [] : [`### ${title}`, ...head, ...rows(variants), ""];
}

/** The page with its tables made anew. */
export function renderPage(table: readonly Variant[]): string {
  const text = readFileSync(pageFile, "utf8");
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${pageFile} has no place for the verdicts`);
  const of = (kind: Variant["kind"]) => table.filter((variant) => variant.kind === kind);
  const tables = [
    ...section("The protocol as it stands", of("rule")),
    ...section("One rule taken out", of("mutant")),
    ...section("Not vacuous: what the models can do", of("witness")),
  ];
  return `${text.slice(0, from)}${begin}\n${tables.join("\n")}${text.slice(to)}`;
}

export function writePage(table: readonly Variant[]): void {
  writeFileSync(pageFile, renderPage(table));
}
