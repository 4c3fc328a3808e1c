// SPDX-License-Identifier: Apache-2.0
// Proves that the step at which a connection fails is named, with what to do about it.

import { type AddressInfo, createServer, type Server } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { FakeRegistry } from "../testing/fake-registry.ts";
import { diagnoseDial } from "./dial-diagnosis.ts";

describe("why the control plane cannot be reached", () => {
  let server: Server | undefined;
  afterEach(async () => {
    await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
    server = undefined;
  });

  async function serve(answer: string): Promise<number> {
    const listening = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () => socket.end(answer));
    });
    server = listening;
    await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
    return (listening.address() as AddressInfo).port;
  }

  function diagnose(url: string) {
    return diagnoseDial({ url, proxyUrl: undefined, caPem: undefined });
  }

  it("a name that is not resolved", async () => {
    const { step, finding } = await diagnose("http://no-such-host.invalid:1");
    expect(step).toBe("dns");
    expect(finding).toContain("no-such-host.invalid");
  });

  it("a port that nobody listens on", async () => {
    const port = await serve("");
    server?.close();
    const { step, finding } = await diagnose(`http://127.0.0.1:${port}`);
    expect(step).toBe("tcp");
    expect(finding).toContain(`nothing listens on 127.0.0.1:${port}`);
  });

  it("TLS where none is spoken", async () => {
    const port = await serve("HTTP/1.1 400 Bad Request\r\n\r\n");
    const { step, finding } = await diagnose(`https://127.0.0.1:${port}`);
    expect(step).toBe("tls");
    expect(finding).toContain("https:// only where TLS is spoken");
  });

  it("a server that speaks another protocol", async () => {
    const port = await serve("HTTP/1.1 400 Bad Request\r\n\r\n");
    const { step, finding } = await diagnose(`http://127.0.0.1:${port}`);
    expect(step).toBe("http2");
    expect(finding).toContain("check that --url names the agents' port");
  });

  it("nothing, when every step works", async () => {
    const registry = new FakeRegistry({ heartbeatMs: 1_000 });
    await registry.start();
    expect((await diagnose(registry.url)).step).toBe("none");
    await registry.stop();
  });
});
