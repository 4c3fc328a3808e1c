// SPDX-License-Identifier: Apache-2.0
// The headers of an HTTP request or answer that belong to one hop and are not forwarded.

/** Header names of one hop (RFC 9110 section 7.6.1), in lower case, and `host`, which each side sets itself. */
export const hopHeaders: ReadonlySet<string> = new Set([
  "connection",
  "expect",
  "host",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
