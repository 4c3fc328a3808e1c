// SPDX-License-Identifier: Apache-2.0
// Proves what the journal keeps over kills, torn lines and compaction, and what its syncs promise.

import { appendFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { JournalEntryJson } from "@remex/proto/runner/v1";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../testing/agent-process.ts";
import { Journal } from "./journal.ts";
import { replayJournal } from "./journal-record.ts";

const outcome = { kind: "OUTCOME_KIND_SUCCEEDED" } as const;

function nameOf(task: string) {
  return { task, attempt: { epoch: "1", number: "1" } };
}

function entryOf(task: string): JournalEntryJson {
  return { ...nameOf(task), spec: { queue: "default" }, idempotencyKey: `key of ${task}` };
}

describe("the runner's journal", () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let path: string;
  const broken: Error[] = [];

  beforeEach(() => {
    folder = temporaryFolder();
    path = join(folder.path, "journal");
    broken.length = 0;
  });
  afterEach(() => folder.remove());

  function open(compactionBytes?: number): Journal {
    return new Journal({
      path,
      onBroken: (error) => broken.push(error),
      ...(compactionBytes === undefined ? {} : { compactionBytes }),
    });
  }

  function committed(journal: Journal): Promise<void> {
    return new Promise((resolve) => journal.commit(resolve));
  }

  it("PROTOCOL-C1: an outcome is in the file when its commit calls back", async () => {
    const journal = open();
    journal.note({ record: "started", entry: entryOf("t_a") });
    journal.note({ record: "ended", name: nameOf("t_a"), outcome });
    await committed(journal);
    const { live } = replayJournal(readFileSync(path, "utf8"));
    expect(live.get("t_a/1.1")).toEqual({ ...entryOf("t_a"), outcome });
    journal.close();
  });

  it("a start is in the kernel's hands after `write`, so that it outlives the process", () => {
    const journal = open();
    journal.note({ record: "started", entry: entryOf("t_a") });
    journal.write();
    expect(open().entries()).toEqual([entryOf("t_a")]);
    journal.close();
  });

  it("commits of one turn share a sync, and are called back in order", async () => {
    const journal = open();
    const order: number[] = [];
    const last = Array.from({ length: 100 }, (_, index) => {
      journal.note({ record: "done", entry: { ...entryOf(`t_${index}`), outcome } });
      return new Promise<void>((resolve) =>
        journal.commit(() => {
          order.push(index);
          resolve();
        }),
      );
    });
    await Promise.all(last);
    expect(order).toEqual(Array.from({ length: 100 }, (_, index) => index));
    journal.close();
  });

  it("a forgotten attempt is gone after a restart", async () => {
    const journal = open();
    journal.note({ record: "done", entry: { ...entryOf("t_a"), outcome } });
    journal.note({ record: "done", entry: { ...entryOf("t_b"), outcome } });
    journal.note({ record: "forgotten", name: nameOf("t_a") });
    await committed(journal);
    journal.close();
    expect(
      open()
        .entries()
        .map((entry) => entry.task),
    ).toEqual(["t_b"]);
  });

  it("a torn last line is dropped, and what is written after it is read again", async () => {
    const journal = open();
    journal.note({ record: "done", entry: { ...entryOf("t_a"), outcome } });
    await committed(journal);
    journal.close();
    appendFileSync(path, '{"record":"done","entry":{"task":"t_to');
    const again = open();
    again.note({ record: "done", entry: { ...entryOf("t_b"), outcome } });
    await committed(again);
    again.close();
    expect(
      open()
        .entries()
        .map((entry) => entry.task),
    ).toEqual(["t_a", "t_b"]);
  });

  it("a damaged line in the middle is refused with its number", () => {
    writeFileSync(
      path,
      '{"record":"started","entry":{}}\nnonsense\n{"record":"started","entry":{}}\n',
    );
    expect(() => open()).toThrow("line 2 of the journal is damaged");
  });

  it("is compacted when most of it is forgotten, and loses nothing", async () => {
    const journal = open(8_000);
    journal.note({ record: "started", entry: entryOf("t_runs") });
    for (let index = 0; index < 200; index++) {
      journal.note({ record: "done", entry: { ...entryOf(`t_${index}`), outcome } });
      journal.note({ record: "forgotten", name: nameOf(`t_${index}`) });
    }
    journal.note({ record: "done", entry: { ...entryOf("t_ended"), outcome } });
    await committed(journal);
    expect(statSync(path).size).toBeLessThan(1_000);
    journal.note({ record: "ended", name: nameOf("t_runs"), outcome });
    await committed(journal);
    journal.close();
    expect(open().entries()).toEqual([
      { ...entryOf("t_runs"), outcome },
      { ...entryOf("t_ended"), outcome },
    ]);
    expect(broken).toEqual([]);
  });
});
