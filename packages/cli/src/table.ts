// SPDX-License-Identifier: Apache-2.0
// Plain tables for terminals: a line of headings, columns two spaces apart, no frame.

import Table from "cli-table3";
import { oneLine } from "./terminal-text.ts";

/** One column of a list. */
export interface Column<Item> {
  readonly heading: string;
  readonly cell: (item: Item) => string;
}

const noFrame = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
};

/** Longer text would make a row wrap, and then no column can be followed any more. */
const longestCell = 60;

function shown(text: string): string {
  const line = oneLine(text);
  return line.length <= longestCell ? line : `${line.slice(0, longestCell - 3)}...`;
}

function draw(rows: readonly (readonly string[])[]): string {
  const table = new Table({
    chars: noFrame,
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [], compact: true },
  });
  table.push(...rows.map((row) => [...row]));
  const lines = table.toString().split("\n");
  return `${lines.map((line) => line.trimEnd()).join("\n")}\n`;
}

export function listTable<Item>(columns: readonly Column<Item>[], items: readonly Item[]): string {
  const rows = items.map((item) => columns.map(({ cell }) => shown(cell(item)) || "-"));
  return draw([columns.map(({ heading }) => heading), ...rows]);
}

/** One thing in full: a line per fact; facts without a value are left out. */
export function factTable(facts: readonly (readonly [string, string | undefined])[]): string {
  const rows = facts.flatMap(([name, value]) =>
    value === undefined || value === "" ? [] : [[`${name}:`, oneLine(value)]],
  );
  return draw(rows);
}
