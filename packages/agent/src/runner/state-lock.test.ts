// SPDX-License-Identifier: Apache-2.0
// Proves that one runner at a time holds a state directory, and that the file system's type is found.

import { closeSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { temporaryFolder } from "../testing/agent-process.ts";
import { isShared, takeStateLock, typeOfMount } from "./state-lock.ts";

describe("the state directory's lock", () => {
  let folder: ReturnType<typeof temporaryFolder>;
  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(() => folder.remove());

  it("is refused to a second one until the first one's descriptor is closed", () => {
    const first = takeStateLock(folder.path);
    expect(first.kind).toBe("held");
    const second = takeStateLock(folder.path);
    expect(second).toMatchObject({
      kind: "taken",
      message: expect.stringContaining("is locked by another runner; stop that agent"),
    });
    if (first.kind === "held") closeSync(first.file);
    const third = takeStateLock(folder.path);
    expect(third.kind).toBe("held");
    if (third.kind === "held") closeSync(third.file);
  });
});

describe("the type of a file system", () => {
  const mountinfo = [
    "21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw",
    "30 21 0:40 / /home rw - nfs4 server:/home rw",
    "31 30 0:41 / /home/with\\040space rw - fuse.sshfs host:/ rw",
    "32 21 0:42 / /tmp rw - tmpfs tmpfs rw",
    "33 21 0:43 / /tmp rw - ext4 /dev/sdb1 rw",
  ].join("\n");

  it.each([
    ["/var/lib/agent", "ext4"],
    ["/home/someone/state", "nfs4"],
    ["/homework", "ext4"],
    ["/home/with space/x", "fuse.sshfs"],
    ["/tmp/x", "ext4"],
  ])("of %s is %s", (path, type) => {
    expect(typeOfMount(mountinfo, path)).toBe(type);
  });
});

describe("PROTOCOL-G1: a lock counts on a local file system alone", () => {
  const shared = ["nfs4", "cifs", "9p", "fuse.sshfs", "fuse.anything", "virtiofs"];
  const local = ["ext4", "xfs", "overlay", "tmpfs", "btrfs", "fuse.fuse-overlayfs"];

  it.each(shared)("%s is shared", (type) => {
    expect(isShared(type)).toBe(true);
  });

  it.each(local)("%s is local", (type) => {
    expect(isShared(type)).toBe(false);
  });
});
