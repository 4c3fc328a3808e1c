// SPDX-License-Identifier: Apache-2.0
// The committed table of the protocol's models: every variant, what it takes out, and the verdict that it must have.

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const modelDir = fileURLToPath(new URL("../../docs/model/", import.meta.url));
const tableFile = path.join(modelDir, "verdicts.json");

/** What one search found. */
export interface Figures {
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  readonly seconds: number;
}

/** One run of one model. */
export interface Variant {
  /** File of the model, without ".pml". */
  readonly model: string;
  readonly name: string;
  /** Definitions given to Spin, separated by blanks. */
  readonly flags: string;
  /** Small ones run in every test; big ones by hand. */
  readonly size: "small" | "big";
  /** `rule`: the protocol as it is. `mutant`: with a rule taken out. `witness`: shows that something can happen at all. */
  readonly kind: "rule" | "mutant" | "witness";
  /** In words: what is looked at, or what was taken out. */
  readonly about: string;
  /** `passes`: searched to the end without an error; else the invariant that breaks. */
  readonly verdict: string;
  /** Of the last run that was recorded; absent before the first one. */
  readonly found?: Figures;
}

export function readTable(): readonly Variant[] {
  return JSON.parse(readFileSync(tableFile, "utf8")) as readonly Variant[];
}

export function writeTable(variants: readonly Variant[]): void {
  writeFileSync(tableFile, `${JSON.stringify(variants, undefined, 2)}\n`);
}

export const labelOf = ({ model, name }: Variant): string => `${model}/${name}`;
