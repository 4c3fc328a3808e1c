// SPDX-License-Identifier: Apache-2.0
// Finds the step at which a connection to the control plane fails, and says what to do about it.

import { lookup } from "node:dns/promises";
import { connect as connectHttp2 } from "node:http2";
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** The first step that failed; "none" when every step works now. */
export interface Diagnosis {
  readonly step: "dns" | "tcp" | "tls" | "http2" | "none";
  /** What was seen and what to do. */
  readonly finding: string;
}

export interface DiagnosisTarget {
  readonly url: string;
  readonly proxyUrl: string | undefined;
  readonly caPem: string | undefined;
}

const stepLimitMs = 5_000;

/** Tries the steps one after the other, each with a limit. Behind a proxy the proxy is what is reached. */
export async function diagnoseDial(target: DiagnosisTarget): Promise<Diagnosis> {
  const url = new URL(target.url);
  const first = target.proxyUrl === undefined ? url : new URL(target.proxyUrl);
  const host = first.hostname.replace(/^\[|\]$/g, "");
  const port = Number(first.port) || (first.protocol === "https:" ? 443 : 80);
  const what = target.proxyUrl === undefined ? "control plane" : "proxy";
  try {
    if (isIP(host) === 0) await lookup(host);
  } catch (error) {
    return {
      step: "dns",
      finding: `the name ${host} of the ${what} cannot be resolved (${codeOf(error)}); check --url and this host's DNS`,
    };
  }
  let socket: Socket;
  try {
    socket = await openTcp(host, port);
  } catch (error) {
    return { step: "tcp", finding: tcpFinding(what, host, port, codeOf(error)) };
  }
  if (target.proxyUrl !== undefined) {
    socket.destroy();
    return {
      step: "none",
      finding: `the proxy ${host}:${port} answers; check that it lets CONNECT to ${url.host} through`,
    };
  }
  return url.protocol === "https:"
    ? diagnoseTls(socket, host, target.caPem)
    : diagnoseHttp2(url.origin, socket);
}

function tcpFinding(what: string, host: string, port: number, code: string): string {
  switch (code) {
    case "ECONNREFUSED":
      return `nothing listens on ${host}:${port}; check that the ${what} runs and that --url names its agents' port`;
    case "ETIMEDOUT":
      return `${host}:${port} does not answer; a firewall may drop the packets: allow this one outbound address`;
    default:
      return `${host}:${port} cannot be reached (${code}); check this host's network and --url`;
  }
}

async function diagnoseTls(
  socket: Socket,
  host: string,
  caPem: string | undefined,
): Promise<Diagnosis> {
  const secure = connectTls({
    socket,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: ["h2"],
    ...(caPem === undefined ? {} : { ca: caPem }),
  });
  try {
    await once(secure, "secureConnect");
    if (secure.alpnProtocol === "h2") return allWell;
    return {
      step: "http2",
      finding: `${host} does not speak HTTP/2 over TLS; a proxy in front of it may need HTTP/2 (gRPC) switched on`,
    };
  } catch (error) {
    return { step: "tls", finding: tlsFinding(host, codeOf(error)) };
  } finally {
    secure.destroy();
  }
}

function tlsFinding(host: string, code: string): string {
  if (/SELF_SIGNED|UNABLE_TO|ISSUER/.test(code)) {
    return `the certificate of ${host} is not from a known authority (${code}); give its certificate with --ca-file`;
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    return `the certificate of ${host} is not valid now (${code}); renew it, and check this host's clock`;
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return `the certificate of ${host} is for another name; use the name that it holds in --url`;
  }
  return `TLS with ${host} fails (${code}); check that --url begins with https:// only where TLS is spoken`;
}

async function diagnoseHttp2(origin: string, socket: Socket): Promise<Diagnosis> {
  const session = connectHttp2(origin, { createConnection: () => socket });
  try {
    await once(session, "remoteSettings");
    return allWell;
  } catch (error) {
    return {
      step: "http2",
      finding: `${origin} answers, but not in HTTP/2 (${codeOf(error)}); check that --url names the agents' port`,
    };
  } finally {
    session.destroy();
  }
}

const allWell: Diagnosis = {
  step: "none",
  finding: "name, connection and protocol work now; the control plane itself was not ready",
};

async function openTcp(host: string, port: number): Promise<Socket> {
  const socket = connect({ host, port });
  try {
    await once(socket, "connect");
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

interface Emitter {
  once(event: string, listener: (value: unknown) => void): unknown;
}

/** Waits for an event, an error, or the limit. */
function once(emitter: Emitter, event: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(Object.assign(new Error("no answer in time"), { code: "ETIMEDOUT" })),
      stepLimitMs,
    );
    emitter.once(event, () => {
      clearTimeout(timer);
      resolve();
    });
    emitter.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    emitter.once("close", () => {
      clearTimeout(timer);
      reject(Object.assign(new Error("closed"), { code: "ECONNRESET" }));
    });
  });
}

function codeOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}
