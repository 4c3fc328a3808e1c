// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { createConnectionGate } from "./connection-gate.ts";

test("PROTOCOL-D2: a new connection lets nothing through until its own server was looked at", () => {
  const gate = createConnectionGate();
  expect(gate.isOpen()).toBe(false);
  const first = gate.connection();
  expect(gate.open(first)).toBe(true);
  expect(gate.isOpen()).toBe(true);
  gate.shut();
  expect(gate.isOpen()).toBe(false);
  // A look that began on the former connection says nothing about the present one.
  expect(gate.open(first)).toBe(false);
  expect(gate.isOpen()).toBe(false);
  expect(gate.open(gate.connection())).toBe(true);
  gate.shut();
  expect(gate.isOpen()).toBe(false);
});
