// SPDX-License-Identifier: Apache-2.0
// Proves that an agent knows whom it takes over, and that it is over itself when another one had its directory.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../testing/agent-process.ts";
import { noteInstance, readFormerInstance, takeOwnership } from "./instance-note.ts";

const one = Buffer.alloc(16, 1);
const two = Buffer.alloc(16, 2);

describe("the note of a state directory", () => {
  let folder: ReturnType<typeof temporaryFolder>;
  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(() => folder.remove());

  it("PROTOCOL-T6: names the instance that had a session here, and the session", () => {
    expect(readFormerInstance(folder.path)).toBeUndefined();
    noteInstance(folder.path, one, { epoch: 5, number: 7 });
    expect(readFormerInstance(folder.path)).toEqual({
      instance: one,
      session: { epoch: 5, number: 7 },
    });
  });

  it("PROTOCOL-T6, PROTOCOL-G4: an instance is over once another one has held its lock", () => {
    expect(takeOwnership(folder.path, one, false)).toBe(true);
    expect(takeOwnership(folder.path, one, true)).toBe(true);
    expect(takeOwnership(folder.path, two, false)).toBe(true);
    expect(takeOwnership(folder.path, one, true)).toBe(false);
    expect(takeOwnership(folder.path, two, true)).toBe(true);
  });
});
