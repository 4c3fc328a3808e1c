// SPDX-License-Identifier: Apache-2.0
// Proves that the contract's states all have words, and that the words that can be typed mean one value.

import { AttemptStage, TaskState } from "@remex/client";
import { expect, test } from "vitest";
import * as words from "./words.ts";

const tables = {
  kindWords: words.kindWords,
  roleWords: words.roleWords,
  healthWords: words.healthWords,
  availabilityWords: words.availabilityWords,
  onCutWords: words.onCutWords,
  onLostWords: words.onLostWords,
  taskStateWords: words.taskStateWords,
  stageWords: words.stageWords,
  outcomeWords: words.outcomeWords,
};

test.each(Object.entries(tables))("%s: each word means one value", (_, table) => {
  const typed = words.wordsOf(table);
  expect(new Set(typed).size).toBe(typed.length);
  expect(typed).not.toContain("");
  for (const word of typed) {
    const value = words.valueOfWord<number>(table, word);
    expect(value).toBeGreaterThan(0);
    expect(words.wordsOf({ 0: "", 1: word })).toEqual([word]);
  }
  expect(words.valueOfWord<number>(table, "nonsense")).toBeUndefined();
});

test("an assigned task is told by how far its attempt came", () => {
  const { progressWord } = words;
  expect(progressWord(TaskState.ASSIGNED, AttemptStage.OFFERED)).toBe("offered");
  expect(progressWord(TaskState.ASSIGNED, AttemptStage.CONFIRMED)).toBe("starting");
  expect(progressWord(TaskState.ASSIGNED, AttemptStage.STARTED)).toBe("running");
  expect(progressWord(TaskState.ASSIGNED, undefined)).toBe("assigned");
  expect(progressWord(TaskState.QUEUED, AttemptStage.DECLINED)).toBe("queued");
  expect(progressWord(TaskState.SUCCEEDED, AttemptStage.ENDED)).toBe("succeeded");
});
