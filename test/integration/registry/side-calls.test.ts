// SPDX-License-Identifier: Apache-2.0
// Calls of agents beside their stream: requests to an Airflow API, and logs to who reads them.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { Metadata } from "@grpc/grpc-js";
import type { RemexError } from "@remex/domain";
import {
  ForwardRequestSchema,
  type ForwardResponse,
  SendLogRequestSchema,
  type Welcome,
} from "@remex/proto/agent/v1";
import { AgentService } from "@remex/proto/registry/v1";
import { createSilentLogger } from "@remex/runtime";
import type { AttemptRow } from "@remex/store";
import { createLocalTransport, failureFromGrpc } from "@remex/transport";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { waitFor } from "../../kit/index.ts";
import {
  createFakeAgent,
  type FakeAgent,
  type FakeStream,
  goodHello,
  sessionMetadata,
} from "./fake-agent.ts";
import { type Fixture, startFixture } from "./fixture.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
interface HeadInit {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: { readonly name: string; readonly value: string }[];
}

const attempt = { epoch: 1n, number: 1n };
const attempts = new Map<string, AttemptRow>();
let quarantined = false;
let fixture: Fixture;
let api: Server;
let answer: Answer;
let apiUrl: string;
let agent: FakeAgent;
let stream: FakeStream;
let welcome: Welcome;
let name: string;
let count = 0;
let agents: Client<typeof AgentService>;

beforeAll(async () => {
  api = createServer((request, response) => answer(request, response));
  await new Promise<void>((resolve) => api.listen(0, "127.0.0.1", resolve));
  apiUrl = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
  fixture = await startFixture({
    tasks: { readAttempt: async ({ id }) => attempts.get(id) ?? { kind: "unknown", quarantined } },
  });
  await fixture.project({ revision: 2, airflowApiUrl: apiUrl });
  const { routes } = fixture.registry;
  const log = createSilentLogger();
  agents = createClient(AgentService, createLocalTransport({ routes, role: "gateway", log }));
});
afterAll(async () => {
  await fixture.stop();
  api.closeAllConnections();
  await new Promise((resolve) => api.close(resolve));
});
beforeEach(async () => {
  count += 1;
  name = `agent-${count}`;
  agent = createFakeAgent(fixture.target);
  stream = agent.open("good", goodHello(name));
  welcome = await stream.welcome();
  attempts.set("t1", rowOf({}));
});
afterEach(() => agent.close());

function rowOf(change: Partial<AttemptRow>): AttemptRow {
  const session = `${welcome.session?.epoch}.${welcome.session?.number}`;
  return {
    ...{ kind: "attempt", state: "ASSIGNED", attempt: "1.1", stage: "STARTED" },
    ...{ agent: name, session, quarantined: false },
    ...change,
  } as AttemptRow;
}

interface Forwarded {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

async function forward(
  head: HeadInit,
  body: readonly Uint8Array[] = [],
  metadata = sessionMetadata(welcome, name),
): Promise<Forwarded> {
  const call = agent.client.forward({ metadata });
  const whole = { task: "t1", attempt, method: "GET", path: "/execution/health", ...head };
  call.write(create(ForwardRequestSchema, { part: { case: "head", value: whole } }));
  for (const value of body) {
    call.write(create(ForwardRequestSchema, { part: { case: "body", value } }));
  }
  call.end();
  let status = 0;
  let headers = new Map<string, string>();
  const chunks: Uint8Array[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  call.on("data", ({ part }: ForwardResponse) => {
    if (part.case === "body") chunks.push(part.value);
    if (part.case === "head") {
      status = part.value.status;
      headers = new Map(part.value.headers.map((header) => [header.name, header.value]));
    }
  });
  call.on("error", (error: unknown) => reject(failureFromGrpc(error)));
  call.on("end", resolve);
  await promise;
  return { status, headers, body: Buffer.concat(chunks) };
}

const refusalOf = (work: Promise<unknown>): Promise<RemexError> =>
  work.then(
    () => {
      throw new Error("it was not refused");
    },
    (error: unknown) => error as RemexError,
  );

describe("Forward", () => {
  it("R5: carries method, path, headers and a chunked body, and the answer back", async () => {
    const sent = [Buffer.alloc(65_536, "a"), Buffer.alloc(65_536, "b"), Buffer.from("end")];
    const seen: { request?: IncomingMessage; body?: Buffer } = {};
    answer = async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      seen.request = request;
      seen.body = Buffer.concat(chunks);
      response.writeHead(201, {
        "Refreshed-API-Token": "fresh",
        "Airflow-API-Version": "2026-06-30",
        "Keep-Alive": "timeout=9",
      });
      response.end(Buffer.alloc(200_000, "z"));
    };
    const reply = await forward(
      {
        method: "PATCH",
        path: "/execution/xcoms/a%20b?x=1&y=%2F",
        headers: [
          { name: "authorization", value: "Bearer ey" },
          { name: "airflow-api-version", value: "2026-06-30" },
          { name: "connection", value: "close, x-hop" },
          { name: "x-hop", value: "1" },
          { name: "host", value: "evil" },
        ],
      },
      sent,
    );
    expect(reply.status).toBe(201);
    expect(reply.headers.get("refreshed-api-token")).toBe("fresh");
    expect(reply.headers.get("airflow-api-version")).toBe("2026-06-30");
    expect(reply.headers.has("keep-alive")).toBe(false);
    expect(reply.body.equals(Buffer.alloc(200_000, "z"))).toBe(true);
    expect(seen.request?.url).toBe("/execution/xcoms/a%20b?x=1&y=%2F");
    expect(seen.request?.method).toBe("PATCH");
    expect(seen.request?.headers).toMatchObject({
      authorization: "Bearer ey",
      host: new URL(apiUrl).host,
    });
    expect(seen.request?.headers["x-hop"]).toBeUndefined();
    expect(seen.body?.equals(Buffer.concat(sent))).toBe(true);
  });

  it.each([204, 304])("an answer %i has no body", async (status) => {
    answer = (_request, response) => response.writeHead(status).end();
    expect(await forward({})).toMatchObject({ status, body: Buffer.alloc(0) });
  });

  it.each([
    ["/api/v2/dags"],
    ["/execution/../api/v2/dags"],
    ["/execution/%2e%2e/api/v2/dags"],
    ["/execution/..%2fapi"],
    ["//evil/execution/"],
    ["/execution\\..\\api"],
    ["http://evil/execution/"],
  ])("SEC-E1: %s does not leave for the API", async (path) => {
    answer = () => {
      throw new Error("it was asked");
    };
    expect(await refusalOf(forward({ path }))).toMatchObject({ code: "argument_invalid" });
  });

  it.each([
    ["of another attempt", { attempt: "1.2" }],
    ["that is only offered", { stage: "OFFERED" }],
    ["that has ended", { state: "SUCCEEDED" }],
    ["of another agent", { agent: "other" }],
    ["of a later session", { session: "9999999999.1" }],
  ] as const)("R31 PROTOCOL-E1 I21: a call %s is refused", async (_, change) => {
    attempts.set("t1", rowOf(change as Partial<AttemptRow>));
    expect(await refusalOf(forward({}))).toMatchObject({
      code: "attempt_not_current",
      connectCode: "failed_precondition",
    });
  });

  it.each([
    ["of an earlier session of the same agent", { session: "1.1" }],
    ["that is held for its agent", { state: "HELD" }],
    ["that an older attempt stands for, in quarantine", { attempt: "1.2", quarantined: true }],
    ["that was voided, in quarantine", { state: "QUEUED", quarantined: true }],
  ] as const)(
    "PROTOCOL-E1 D2 R32: a call %s is told to come back, since 409 would end work that may go on",
    async (_, change) => {
      attempts.set("t1", rowOf(change as Partial<AttemptRow>));
      expect(await refusalOf(forward({}))).toMatchObject({
        code: "attempt_unsettled",
        connectCode: "unavailable",
        retryable: true,
      });
    },
  );

  it("PROTOCOL-E1 D2: a task that a wiped store does not know yet is no reason to end it, one that is unknown afterwards is", async () => {
    attempts.delete("t1");
    quarantined = true;
    expect(await refusalOf(forward({}))).toMatchObject({ code: "attempt_unsettled" });
    quarantined = false;
    expect(await refusalOf(forward({}))).toMatchObject({ code: "attempt_not_current" });
  });

  it("SEC-T11: a wrong key is refused, and a call without one", async () => {
    const wrong = { ...welcome, sessionKey: { key: new Uint8Array(32) } } as Welcome;
    const call = forward({}, [], sessionMetadata(wrong, name));
    expect(await refusalOf(call)).toMatchObject({ code: "session_key_refused" });
    expect(await refusalOf(forward({}, [], new Metadata()))).toMatchObject({
      code: "session_key_refused",
    });
  });

  it("an API that is away is answered 502 in JSON, which Airflow's client tries again", async () => {
    await fixture.project({ revision: 3 + count * 2, airflowApiUrl: "http://127.0.0.1:1" });
    const reply = await forward({});
    expect(reply.status).toBe(502);
    expect(JSON.parse(reply.body.toString())).toMatchObject({
      detail: { reason: "airflow_api_unreachable" },
    });
    await fixture.project({ revision: 4 + count * 2, airflowApiUrl: "" });
    expect(await refusalOf(forward({}))).toMatchObject({ code: "airflow_api_missing" });
    await fixture.project({ revision: 5 + count * 2, airflowApiUrl: apiUrl });
  });

  it("an API that breaks off in its answer ends the call with an error that can be tried again", async () => {
    answer = (_request, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("part", () => response.destroy());
    };
    expect(await refusalOf(forward({}))).toMatchObject({
      code: "airflow_api_unreachable",
      retryable: true,
    });
  });

  it("the reserved uploads are answered UNIMPLEMENTED", async () => {
    const { call, response } = agent.client.uploadLog({ metadata: new Metadata() });
    call.end();
    expect((await refusalOf(response)).connectCode).toBe("unimplemented");
  });
});

describe("ReadTaskLog", () => {
  async function answerFetch(parts: MessageInitShape<typeof SendLogRequestSchema>[]) {
    const { fetch } = await stream.hear("logFetch");
    const { call, response } = agent.client.sendLog({ metadata: sessionMetadata(welcome, name) });
    parts.forEach((part, index) => {
      call.write(create(SendLogRequestSchema, { ...part, ...(index === 0 ? { fetch } : {}) }));
    });
    call.end();
    return response;
  }

  async function readAll(task: string, offset = 0n): Promise<string> {
    let text = "";
    for await (const part of agents.readTaskLog({ deployment: "dep", task, offset })) {
      text += Buffer.from(part.data).toString();
    }
    return text;
  }

  it("asks the agent and streams what it sends, from the offset", async () => {
    const reading = readAll("t1", 5n);
    const answered = answerFetch([
      { offset: 5n, data: Buffer.from("hello ") },
      { offset: 11n, data: Buffer.from("log\n"), complete: true },
    ]);
    expect(await reading).toBe("hello log\n");
    await answered;
    expect(await stream.hear("logFetch")).toMatchObject({ task: "t1", attempt, offset: 5n });
  });

  it("tells what the agent says when it has no log", async () => {
    const reading = refusalOf(readAll("t1"));
    await answerFetch([
      { error: { code: "log_unknown", message: "there is no log of task t1: it is gone" } },
    ]);
    expect(await reading).toMatchObject({ code: "log_unknown", connectCode: "not_found" });
  });

  it("a task that is not known, or was not given out, has no log", async () => {
    expect(await refusalOf(readAll("nope"))).toMatchObject({ code: "task_unknown" });
    attempts.set("t2", rowOf({ attempt: "", agent: "", stage: "" }));
    expect(await refusalOf(readAll("t2"))).toMatchObject({ code: "log_unknown" });
  });

  it("an agent that is away is said to be", async () => {
    attempts.set("t3", rowOf({ agent: "nobody" }));
    expect(await refusalOf(readAll("t3"))).toMatchObject({ code: "agent_away", retryable: true });
  });

  it("SEC-E4: another agent cannot answer a fetch that was not asked of it", async () => {
    const reading = readAll("t1");
    const { fetch } = await stream.hear("logFetch");
    const other = agent.open("good", goodHello(`${name}-b`));
    const metadata = sessionMetadata(await other.welcome(), `${name}-b`);
    const forged = agent.client.sendLog({ metadata });
    forged.call.write(
      create(SendLogRequestSchema, { fetch, data: Buffer.from("forged"), complete: true }),
    );
    forged.call.end();
    await forged.response;
    await answerFetch([{ data: Buffer.from("true"), complete: true }]);
    expect(await reading).toBe("true");
  });
});

describe("AgentService", () => {
  it("R11: lists, gets and pages agents with the age of their last heartbeat", async () => {
    stream.beat(1, { slotsUsed: 2 });
    await stream.hear("beatAck");
    const { agent: shown } = await agents.getAgent({ deployment: "dep", agent: name });
    expect(shown).toMatchObject({
      agent: name,
      health: 2,
      availability: 1,
      slotsUsed: 2,
      registry: "registry-1",
      token: "tok00001",
      session: welcome.session,
      capabilities: { queues: ["default"], slots: 2 },
    });
    expect(shown?.heartbeatAge?.seconds).toBe(0n);
    const first = await agents.listAgents({ deployment: "dep", pageSize: 1 });
    expect(first.agents).toHaveLength(1);
    const next = await agents.listAgents({
      deployment: "dep",
      pageSize: 1,
      pageToken: first.nextPageToken,
    });
    expect(next.agents[0]?.agent).not.toBe(first.agents[0]?.agent);
  });

  it("refuses what is not there", async () => {
    const agentless = agents.getAgent({ deployment: "dep", agent: "nobody" });
    expect(await refusalOf(agentless)).toMatchObject({ code: "agent_unknown" });
    const nowhere = agents.listAgents({ deployment: "nowhere" });
    expect(await refusalOf(nowhere)).toMatchObject({ code: "deployment_unknown" });
    const token = agents.listAgents({ deployment: "dep", pageToken: "/../" });
    expect(await refusalOf(token)).toMatchObject({ code: "cursor_invalid" });
  });

  it("R11: a watch has the whole list first, then every change", async () => {
    const abort = new AbortController();
    const seen: string[] = [];
    let complete = false;
    const watching = (async () => {
      const { signal } = abort;
      for await (const frame of agents.watchAgents({ deployment: "dep" }, { signal })) {
        complete ||= frame.listComplete;
        seen.push(...frame.agents.map((each) => `${each.agent}:${each.health}`));
      }
    })().catch(() => undefined);
    await waitFor(() => complete, { what: "the whole list" });
    expect(seen).toContain(`${name}:1`);
    stream.beat(1);
    await waitFor(() => seen.includes(`${name}:2`), { what: "the change to healthy" });
    abort.abort();
    await watching;
  });
});
