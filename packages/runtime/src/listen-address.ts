// SPDX-License-Identifier: Apache-2.0
// Addresses to listen on: how they are written, and what is said when one cannot be had.

/** Where a server listens. Port 0 means any free port. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Reads "127.0.0.1:8700", "[::1]:8700", ":8700" (every address) or "8700" (loopback). */
export function parseListenAddress(text: string): ListenAddress | undefined {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^:\s[\]]*)):)?(\d{1,5})$/.exec(text.trim());
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65_535) return undefined;
  const named = match[1] ?? match[2];
  const host = named === undefined ? "127.0.0.1" : named === "" ? "::" : named;
  return { host, port };
}

/** Written so that `parseListenAddress` reads it again, and fit for a URL. */
export function formatAddress(address: ListenAddress): string {
  return address.host.includes(":")
    ? `[${address.host}]:${address.port}`
    : `${address.host}:${address.port}`;
}

/** True for addresses that only this host reaches. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host);
}

/** An address could not be listened on; the message names it and the fix. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly code = "listen_failed";
}

/**
 * Turns the error of a failed listen into one for people.
 * `flag` is the option that chooses the address, for example "--agents-listen".
 */
export function listenError(address: ListenAddress, flag: string, cause: unknown): ListenError {
  const { host, port } = address;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  switch (code) {
    case "EADDRINUSE":
      return new ListenError(
        `port ${port} on ${host} is in use by another process; choose another with ${flag}`,
        { cause },
      );
    case "EACCES":
      return new ListenError(
        `port ${port} on ${host} may not be used by this user; choose one above 1023 with ${flag}`,
        { cause },
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new ListenError(
        `address ${host} is not one of this host; choose another with ${flag}`,
        { cause },
      );
    default:
      return new ListenError(
        `cannot listen on ${formatAddress(address)} (${cause instanceof Error ? cause.message : String(cause)}); choose another with ${flag}`,
        { cause },
      );
  }
}
