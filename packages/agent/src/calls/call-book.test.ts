// SPDX-License-Identifier: Apache-2.0
// Proves that kept calls are on disk, in order, for the own user alone, over the end of their process.

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../testing/agent-process.ts";
import { CallBook, type KeptCall } from "./call-book.ts";

const mine = { task: "t_a", attempt: { epoch: 1, number: 2 } };
const other = { task: "t_b", attempt: { epoch: 1, number: 1 } };

function call(body: string): KeptCall {
  const headers = [{ name: "authorization", value: "Bearer x" }];
  return { method: "PATCH", path: "/execution/x", headers, body: Buffer.from(body) };
}

describe("the book of kept calls", () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let book: CallBook;
  beforeEach(() => {
    folder = temporaryFolder();
    book = new CallBook(folder.path);
    book.load();
  });
  afterEach(() => folder.remove());

  it("PROTOCOL-E1: holds calls in order, and a later process reads them", async () => {
    await Promise.all(["1", "2", "3"].map((body) => book.append(mine, call(body))));
    await book.append(other, call("x"));
    const again = new CallBook(folder.path);
    expect(again.load()).toEqual(expect.arrayContaining([mine, other]));
    const bodies: (string | undefined)[] = [];
    for (; again.oldest(mine) !== undefined; again.drop(mine)) {
      bodies.push(again.oldest(mine)?.body.toString());
    }
    expect(bodies).toEqual(["1", "2", "3"]);
    expect(again.oldest(other)).toEqual(call("x"));
  });

  it("SEC-E5: keeps credentials in files of the own user alone, and only as long as they wait", async () => {
    await book.append(mine, call("1"));
    const [file = ""] = readdirSync(join(folder.path, "calls"));
    expect(statSync(join(folder.path, "calls", file)).mode & 0o777).toBe(0o600);
    expect(await book.remove(mine)).toBe(1);
    expect(book.has(mine)).toBe(false);
    expect(readdirSync(join(folder.path, "calls"))).toEqual([]);
  });

  it("PROTOCOL-E1: what comes while a page is removed is kept anew", async () => {
    await book.append(mine, call("1"));
    const removed = book.remove(mine);
    await book.append(mine, call("2"));
    await removed;
    const again = new CallBook(folder.path);
    again.load();
    expect(again.oldest(mine)?.body.toString()).toBe("2");
  });
});
