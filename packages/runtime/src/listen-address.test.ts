// SPDX-License-Identifier: Apache-2.0
// Proves how addresses are read and what is said when one cannot be had.

import { describe, expect, test } from "vitest";
import { formatAddress, isLoopback, listenError, parseListenAddress } from "./listen-address.ts";

describe("listen addresses", () => {
  test.each([
    ["127.0.0.1:8700", "127.0.0.1", 8700],
    ["0.0.0.0:0", "0.0.0.0", 0],
    ["localhost:1", "localhost", 1],
    ["[::1]:8701", "::1", 8701],
    [":8702", "::", 8702],
    ["8703", "127.0.0.1", 8703],
  ])("%s is read", (text, host, port) => {
    const address = parseListenAddress(text);
    expect(address).toEqual({ host, port });
    if (address !== undefined) {
      expect(parseListenAddress(formatAddress(address))).toEqual(address);
    }
  });

  test.each([
    "",
    "host",
    "host:",
    "host:65536",
    "::1:80",
    "a b:1",
    "http://x:1",
    "[::1:80",
    "x:1x",
  ])("%j is none", (text) => {
    expect(parseListenAddress(text)).toBeUndefined();
  });

  test("loopback is told from the rest", () => {
    expect(["127.0.0.1", "127.8.9.1", "::1", "localhost"].every(isLoopback)).toBe(true);
    expect(["0.0.0.0", "::", "10.0.0.1", "127.example.com"].some(isLoopback)).toBe(false);
  });

  test.each([
    ["EADDRINUSE", "port 8701 on 127.0.0.1 is in use by another process; choose another with --x"],
    [
      "EACCES",
      "port 8701 on 127.0.0.1 may not be used by this user; choose one above 1023 with --x",
    ],
    ["EADDRNOTAVAIL", "address 127.0.0.1 is not one of this host; choose another with --x"],
    ["EMFILE", "cannot listen on 127.0.0.1:8701 (boom); choose another with --x"],
  ])("%s is told in words", (code, message) => {
    const cause = Object.assign(new Error("boom"), { code });
    const error = listenError({ host: "127.0.0.1", port: 8701 }, "--x", cause);
    expect(error.message).toBe(message);
    expect(error.cause).toBe(cause);
  });
});
