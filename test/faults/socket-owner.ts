// SPDX-License-Identifier: Apache-2.0
// Which local TCP ports a process holds, from /proc: so that a network can fail for one of several clients.

import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Local ports of the IPv4 connections of a process. */
export function localPortsOf(pid: number): ReadonlySet<number> {
  const inodes = new Set<string>();
  for (const name of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${name}`))?.[1];
      if (inode !== undefined) inodes.add(inode);
    } catch {
      // It was closed meanwhile.
    }
  }
  const ports = new Set<number>();
  for (const line of readFileSync("/proc/net/tcp", "latin1").split("\n").slice(1)) {
    const fields = line.trim().split(/\s+/);
    const port = fields[1]?.split(":")[1];
    if (port !== undefined && inodes.has(fields[9] ?? "")) ports.add(Number.parseInt(port, 16));
  }
  return ports;
}
