// SPDX-License-Identifier: Apache-2.0
// Decides where a forwarded request goes and which headers travel: the path stays under /execution/.
import { failureOf, hopHeaders, type Parsed, quoted } from "@remex/domain";
import type { ForwardRequestHead, HttpHeader } from "@remex/proto/agent/v1";

/** A request as it is sent on. */
export interface ForwardTarget {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string[]>>;
}

const prefix = "/execution/";
const methods: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]);
const mostHeaders = 100;
const mostHeaderBytes = 16_384;

const headerName = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const headerValue = /^[^\u0000-\u0008\u000a-\u001f\u007f]*$/;

/** Judges the head of a forwarded request against the deployment's Airflow API. */
export function decideForwardTarget(
  head: ForwardRequestHead,
  apiUrl: string,
): Parsed<ForwardTarget> {
  const method = head.method.toUpperCase();
  if (!methods.has(method)) return refuse("method", `${quoted(head.method)} is not forwarded`);
  const base = new URL(apiUrl);
  const url = pathUnder(base, head.path);
  if (url === undefined) {
    return refuse("path", `${quoted(head.path)} does not stay under ${prefix}`);
  }
  const headers = forwardedHeaders(head.headers);
  return typeof headers === "string"
    ? refuse("headers", headers)
    : { ok: true, value: { method, url, headers } };
}

function pathUnder(base: URL, path: string): URL | undefined {
  // Encoded dots and slashes are undone by some servers only after a proxy has judged the path.
  if (!path.startsWith(prefix) || /\\|%2e|%2f|%5c|[\s#]/i.test(path.split("?")[0] ?? "")) {
    return undefined;
  }
  const root = base.pathname.replace(/\/$/, "");
  const url = URL.parse(`${base.origin}${root}${path}`);
  return url?.origin === base.origin && url.pathname.startsWith(`${root}${prefix}`)
    ? url
    : undefined;
}

function forwardedHeaders(headers: readonly HttpHeader[]): Record<string, string[]> | string {
  if (headers.length > mostHeaders) return `there are ${headers.length}, at most ${mostHeaders}`;
  const forwarded: Record<string, string[]> = {};
  let bytes = 0;
  for (const { name, value } of endToEnd(headers)) {
    if (!headerName.test(name)) return `${quoted(name)} is not a header's name`;
    if (!headerValue.test(value)) return `the value of ${name} holds control characters`;
    bytes += name.length + value.length;
    forwarded[name] = [...(forwarded[name] ?? []), value];
  }
  return bytes > mostHeaderBytes
    ? `they have ${bytes} bytes, at most ${mostHeaderBytes}`
    : forwarded;
}

/** Headers without those of one hop, names in lower case. */
export function endToEnd(
  headers: readonly { readonly name: string; readonly value: string }[],
): { name: string; value: string }[] {
  const lower = headers.map(({ name, value }) => ({ name: name.toLowerCase(), value }));
  const named = new Set(
    lower
      .filter(({ name }) => name === "connection")
      .flatMap(({ value }) => value.split(",").map((item) => item.trim().toLowerCase())),
  );
  return lower.filter(({ name }) => !hopHeaders.has(name) && !named.has(name));
}

function refuse(field: string, problem: string): Parsed<never> {
  return { ok: false, failure: failureOf("argument_invalid", { field, problem }) };
}
