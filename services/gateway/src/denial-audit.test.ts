// SPDX-License-Identifier: Apache-2.0
import type { AuditEntryContent } from "@remex/records";
import { createFakeClock } from "@remex/runtime/testing";
import { expect, test } from "vitest";
import { createDenialAudit } from "./denial-audit.ts";

const denial = (address: string): AuditEntryContent => ({
  entry: "e",
  atMs: 1,
  actor: "key:unknown",
  address,
  action: "remex.registry.v1.QueueService/CreateQueue",
  deployment: "default",
  subject: "queue:gpu",
  result: "key_refused",
  detailJson: "{}",
});

function start() {
  const clock = createFakeClock();
  const written: AuditEntryContent[] = [];
  const audit = createDenialAudit({
    clock,
    write: async (entry) => {
      written.push(entry);
    },
  });
  return { clock, written, audit };
}

test("SEC-B4: a thousand refusals of one caller are two entries: the first, and how many more", async () => {
  const { clock, written, audit } = start();
  for (let index = 0; index < 1_000; index += 1) await audit.note(denial("192.0.2.1"));
  expect(written).toHaveLength(1);
  await clock.advance(60_000);
  expect(written.map((entry) => entry.detailJson)).toEqual(["{}", '{"further":999}']);
  await audit.note(denial("192.0.2.1"));
  expect(written).toHaveLength(3);
  await clock.advance(60_000);
  expect(written).toHaveLength(3);
});

test("SEC-B4: callers from ever new addresses cost bounded memory and few entries", async () => {
  const { written, audit, clock } = start();
  for (let index = 0; index < 5_000; index += 1) await audit.note(denial(`2001:db8::${index}`));
  expect(written.length).toBe(1_001);
  expect(written.at(-1)).toMatchObject({ address: "", subject: "several" });
  expect(clock.pendingTimers()).toBe(1_001);
  audit.stop();
  expect(clock.pendingTimers()).toBe(0);
  expect(written.at(-1)?.detailJson).toBe('{"further":3999}');
});
