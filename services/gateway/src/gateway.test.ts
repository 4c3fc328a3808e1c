// SPDX-License-Identifier: Apache-2.0
// The public door over real sockets: who may call what, what is passed on, what the audit keeps.

import { create, type DescMethod, type DescService } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { remexError } from "@remex/domain";
import * as agentV1 from "@remex/proto/agent/v1";
import { Role } from "@remex/proto/common/v1";
import * as gatewayV1 from "@remex/proto/gateway/v1";
import * as healthV1 from "@remex/proto/health/v1";
import * as registryV1 from "@remex/proto/registry/v1";
import * as schedulerV1 from "@remex/proto/scheduler/v1";
import * as tokenV1 from "@remex/proto/token/v1";
import { type AuditEntryRecord, findBrokenAuditEntry } from "@remex/records";
import { accessOf, failureFromConnect, keyDeploymentHeader } from "@remex/transport";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { nameOf, startTestGateway, type TestGateway } from "./gateway-test-kit.ts";

/** Written by hand: a method that is served and not listed here, or listed otherwise, fails the test. */
const publicMethods: Readonly<
  Record<string, readonly [Role, "installation" | "deployment" | "key"]>
> = {
  "remex.registry.v1.AgentService/CordonAgent": [Role.OPERATOR, "deployment"],
  "remex.registry.v1.AgentService/UncordonAgent": [Role.OPERATOR, "deployment"],
  "remex.registry.v1.AgentService/DrainAgent": [Role.OPERATOR, "deployment"],
  "remex.registry.v1.AgentService/DeleteAgent": [Role.OPERATOR, "deployment"],
  "remex.registry.v1.AgentService/RestoreAgent": [Role.OPERATOR, "deployment"],
  "remex.registry.v1.AgentService/GiveUpAgent": [Role.OPERATOR, "deployment"],
  "remex.registry.v1.GroupService/ListGroups": [Role.VIEWER, "deployment"],
  "remex.registry.v1.GroupService/CordonGroup": [Role.OPERATOR, "deployment"],
  "remex.registry.v1.GroupService/UncordonGroup": [Role.OPERATOR, "deployment"],
  "remex.registry.v1.GroupService/UpdateGroup": [Role.OPERATOR, "deployment"],
  "remex.registry.v1.BrakeService/ListBrakes": [Role.VIEWER, "deployment"],
  "remex.registry.v1.BrakeService/ReleaseBrake": [Role.OPERATOR, "deployment"],
  "remex.registry.v1.BrakeService/ExtendBrake": [Role.OPERATOR, "deployment"],
  "remex.registry.v1.DeploymentService/CreateDeployment": [Role.ADMIN, "installation"],
  "remex.registry.v1.DeploymentService/GetDeployment": [Role.VIEWER, "deployment"],
  "remex.registry.v1.DeploymentService/ListDeployments": [Role.VIEWER, "key"],
  "remex.registry.v1.DeploymentService/UpdateDeployment": [Role.ADMIN, "deployment"],
  "remex.registry.v1.QueueService/CreateQueue": [Role.OPERATOR, "deployment"],
  "remex.registry.v1.QueueService/ListQueues": [Role.VIEWER, "deployment"],
  "remex.registry.v1.QueueService/DeleteQueue": [Role.OPERATOR, "deployment"],
  "remex.registry.v1.AgentService/ListAgents": [Role.VIEWER, "deployment"],
  "remex.registry.v1.AgentService/GetAgent": [Role.VIEWER, "deployment"],
  "remex.registry.v1.AgentService/WatchAgents": [Role.VIEWER, "deployment"],
  "remex.registry.v1.AgentService/ReadTaskLog": [Role.VIEWER, "deployment"],
  "remex.scheduler.v1.TaskService/SubmitTasks": [Role.SUBMITTER, "deployment"],
  "remex.scheduler.v1.TaskService/ExplainTask": [Role.VIEWER, "deployment"],
  "remex.scheduler.v1.TaskService/GetTask": [Role.VIEWER, "deployment"],
  "remex.scheduler.v1.TaskService/BatchGetTasks": [Role.VIEWER, "deployment"],
  "remex.scheduler.v1.TaskService/ListTasks": [Role.VIEWER, "deployment"],
  "remex.scheduler.v1.TaskService/ListTriggerEvents": [Role.VIEWER, "deployment"],
  "remex.scheduler.v1.TaskService/ListTaskChanges": [Role.VIEWER, "deployment"],
  "remex.scheduler.v1.TaskService/WatchTasks": [Role.VIEWER, "deployment"],
  "remex.scheduler.v1.TaskService/CancelTasks": [Role.SUBMITTER, "deployment"],
  "remex.token.v1.AgentTokenService/CreateAgentToken": [Role.OPERATOR, "deployment"],
  "remex.token.v1.AgentTokenService/ListAgentTokens": [Role.VIEWER, "deployment"],
  "remex.token.v1.AgentTokenService/RevokeAgentToken": [Role.OPERATOR, "deployment"],
  "remex.token.v1.OperatorKeyService/CreateOperatorKey": [Role.ADMIN, "installation"],
  "remex.token.v1.OperatorKeyService/ListOperatorKeys": [Role.ADMIN, "installation"],
  "remex.token.v1.OperatorKeyService/RevokeOperatorKey": [Role.ADMIN, "installation"],
  "remex.gateway.v1.LoginService/WhoAmI": [Role.VIEWER, "key"],
  "remex.gateway.v1.StatusService/GetStatus": [Role.VIEWER, "key"],
  "remex.gateway.v1.AuditService/ListAuditEntries": [Role.OPERATOR, "key"],
};

const isService = (value: unknown): value is DescService =>
  typeof value === "object" && value !== null && "kind" in value && value.kind === "service";
const allServices = [agentV1, gatewayV1, healthV1, registryV1, schedulerV1, tokenV1].flatMap(
  (module) => Object.values(module as Record<string, unknown>).filter(isService),
);
const allMethods = allServices.flatMap((service) => service.methods);

const methodNamed = (name: string): DescMethod => {
  const method = allMethods.find((candidate) => nameOf(candidate) === name);
  if (method === undefined) throw new Error(`no method ${name}`);
  return method;
};

let kit: TestGateway;

beforeEach(async () => {
  kit = await startTestGateway();
  kit.keys.set("rmk_adminkey", { role: Role.ADMIN, deployment: "" });
});

afterEach(async () => {
  await kit.stop();
});

describe("who may call what", () => {
  test("SEC-W1: every method of every service states who may call it", () => {
    expect(allMethods.length).toBeGreaterThan(30);
    const silent = allMethods.filter((method) => typeof accessOf(method) === "string");
    expect(silent.map(nameOf)).toEqual([]);
  });

  test("SEC-W1: what is served is what is listed, and nothing else", async () => {
    const served: string[] = [];
    for (const method of allMethods) {
      const { connectCode } = await kit.call(method, "rmk_adminkey", withDeployment(method));
      // Connect answers a path that it does not serve with a bare 404.
      if (connectCode !== "unimplemented") served.push(nameOf(method));
    }
    expect(served.sort()).toEqual(Object.keys(publicMethods).sort());
  }, 60_000);

  const withDeployment = (method: DescMethod, deployment = "mine") =>
    method.input.fields.some((field) => field.name === "deployment") ? { deployment } : {};

  describe.each([Role.VIEWER, Role.SUBMITTER, Role.OPERATOR, Role.ADMIN])(
    "SEC-W1: role %i",
    (role) => {
      test.each(["", "mine", "other"])("with a key bound to %j", async (bound) => {
        const value = "rmk_somekey1";
        kit.keys.set(value, { role, deployment: bound });
        for (const [name, [least, scope]] of Object.entries(publicMethods)) {
          const method = methodNamed(name);
          const outcome = await kit.call(method, value, withDeployment(method));
          if (role < least) {
            expect(outcome.connectCode, name).toBe("permission_denied");
          } else if (scope === "installation" && bound !== "") {
            expect(outcome.connectCode, name).toBe("permission_denied");
          } else if (scope === "deployment" && bound === "other") {
            expect(outcome.code, name).toBe("deployment_unknown");
          } else if (name.endsWith("ListAuditEntries") && bound === "other") {
            expect(outcome.code, name).toBe("deployment_unknown");
          } else {
            expect(outcome.code, name).toBe("ok");
          }
        }
        if (bound === "other") {
          expect(kit.passed.filter((each) => "deployment" in each.request)).toEqual([]);
        }
      });
    },
  );

  test("SEC-T10: a foreign deployment is answered exactly like one that does not exist", async () => {
    kit.keys.set("rmk_boundkey", { role: Role.ADMIN, deployment: "mine" });
    const getDeployment = methodNamed("remex.registry.v1.DeploymentService/GetDeployment");
    kit.behave = () => {
      throw remexError("deployment_unknown", { deployment: "other" });
    };
    const foreign = await kit.call(getDeployment, "rmk_boundkey", { deployment: "other" });
    expect(kit.passed).toEqual([]);
    const unknown = await kit.call(getDeployment, "rmk_adminkey", { deployment: "other" });
    expect(foreign).toEqual(unknown);
    expect(foreign.connectCode).toBe("not_found");
  });

  test("without a key, with another scheme or with an unknown key nothing is passed on", async () => {
    const list = methodNamed("remex.registry.v1.DeploymentService/ListDeployments");
    expect(await kit.call(list, "")).toMatchObject({ code: "key_missing" });
    const basic = { authorization: "Basic cm1rX2FkbWlua2V5Og==" };
    const client = createClient(registryV1.DeploymentService, kit.connect);
    await expect(client.listDeployments({}, { headers: basic })).rejects.toThrow("rmk_");
    expect(await kit.call(list, "rmk_nobody")).toMatchObject({
      code: "key_refused",
      connectCode: "unauthenticated",
    });
    expect(kit.passed).toEqual([]);
  });

  test("login and logout by cookie are reserved and say so", async () => {
    for (const name of ["Login", "Logout"]) {
      const outcome = await kit.call(methodNamed(`remex.gateway.v1.LoginService/${name}`), "");
      expect(outcome).toMatchObject({ code: "not_served", connectCode: "unimplemented" });
    }
  });
});

describe("passing on", () => {
  test("a service is told the deployment of a bound key and never sees the key", async () => {
    kit.keys.set("rmk_boundkey", { role: Role.VIEWER, deployment: "mine" });
    await kit.call(
      methodNamed("remex.registry.v1.DeploymentService/ListDeployments"),
      "rmk_boundkey",
    );
    expect(kit.passed[0]?.header.get(keyDeploymentHeader)).toBe("mine");
    expect(kit.passed[0]?.header.get("authorization")).toBeNull();
  });

  test("a caller cannot state the deployment of the key itself", async () => {
    const client = createClient(registryV1.DeploymentService, kit.connect);
    const headers = { authorization: "Bearer rmk_adminkey", [keyDeploymentHeader]: "other" };
    await client.listDeployments({}, { headers });
    expect(kit.passed[0]?.header.get(keyDeploymentHeader)).toBeNull();
  });

  test("a refusal comes back with its code, its facts and its message", async () => {
    kit.behave = () => {
      throw remexError("queue_not_empty", { queue: "gpu", deployment: "mine", tasks: 3 });
    };
    const client = createClient(registryV1.QueueService, kit.connect);
    const refusal = await client
      .deleteQueue(
        { deployment: "mine", queue: "gpu" },
        { headers: { authorization: "Bearer rmk_adminkey" } },
      )
      .then(() => undefined, failureFromConnect);
    expect(refusal?.failure).toMatchObject({
      code: "queue_not_empty",
      connectCode: "failed_precondition",
      facts: { tasks: "3" },
    });
  });

  test("a key is verified once for calls that follow each other", async () => {
    const list = methodNamed("remex.registry.v1.DeploymentService/ListDeployments");
    for (let index = 0; index < 5; index += 1) await kit.call(list, "rmk_adminkey");
    expect(kit.verifications).toBe(1);
  });

  test("SEC-T5: an answer that must not be stored says so to the caller too", async () => {
    kit.behave = (_call, context) => {
      context.responseHeader.set("cache-control", "no-store");
      return undefined;
    };
    let cacheControl: string | null = null;
    await createClient(tokenV1.AgentTokenService, kit.connect).createAgentToken(
      { deployment: "mine" },
      {
        headers: { authorization: "Bearer rmk_adminkey" },
        onHeader: (headers) => {
          cacheControl = headers.get("cache-control");
        },
      },
    );
    expect(cacheControl).toBe("no-store");
  });

  test("a caller that goes away ends the stream behind it, over Connect and over gRPC", async () => {
    const { baseUrl } = kit;
    for (const transport of [kit.connect, createGrpcTransport({ baseUrl })]) {
      kit.passed = [];
      kit.streamsHold = true;
      const abort = new AbortController();
      const client = createClient(schedulerV1.TaskService, transport);
      const frames = client.watchTasks(
        { deployment: "mine" },
        { headers: { authorization: "Bearer rmk_adminkey" }, signal: abort.signal },
      );
      await frames[Symbol.asyncIterator]().next();
      abort.abort();
      await vi.waitFor(() => expect(kit.passed[0]?.signal.aborted).toBe(true));
    }
  });

  test("SEC-T7: a revoked key's streams end and it is verified anew", async () => {
    kit.keys.set("rmk_viewkey1", { role: Role.VIEWER, deployment: "" });
    kit.streamsHold = true;
    const client = createClient(schedulerV1.TaskService, kit.connect);
    const headers = { authorization: "Bearer rmk_viewkey1" };
    const frames = client.watchTasks({ deployment: "mine" }, { headers })[Symbol.asyncIterator]();
    await frames.next();
    kit.keys.delete("rmk_viewkey1");
    kit.revoke("viewkey1");
    const refusal = await frames.next().then(() => undefined, failureFromConnect);
    expect(refusal?.code).toBe("key_revoked");
    expect(await kit.call(schedulerV1.TaskService.method.getTask, "rmk_viewkey1")).toMatchObject({
      code: "key_refused",
    });
  });

  test("SEC-T6: a stream is cut when its key expires", async () => {
    kit.keys.set("rmk_shortkey", { role: Role.VIEWER, deployment: "" });
    kit.streamsHold = true;
    const client = createClient(schedulerV1.TaskService, kit.connect);
    const headers = { authorization: "Bearer rmk_shortkey" };
    const frames = client.watchTasks({ deployment: "mine" }, { headers })[Symbol.asyncIterator]();
    await frames.next();
    const refusal = await frames.next().then(() => undefined, failureFromConnect);
    expect(refusal?.code).toBe("key_expired");
  });
});

describe("the audit", () => {
  const entries = async (): Promise<AuditEntryRecord[]> =>
    (await kit.records.audit.list({ deployment: "", pageSize: 100 })).reverse();

  test("SEC-G2: management calls leave who, from where, what and the result, refused ones too", async () => {
    kit.keys.set("rmk_viewkey1", { role: Role.VIEWER, deployment: "" });
    const createQueue = methodNamed("remex.registry.v1.QueueService/CreateQueue");
    const fields = { deployment: "mine", queue: "gpu", description: "big" };
    await kit.call(createQueue, "rmk_adminkey", fields);
    await kit.call(createQueue, "rmk_viewkey1", fields);
    await kit.call(createQueue, "", fields);
    await kit.call(
      methodNamed("remex.registry.v1.QueueService/ListQueues"),
      "rmk_adminkey",
      fields,
    );
    const kept = await entries();
    expect(kept).toMatchObject([
      {
        number: 1,
        actor: "key:adminkey name of rmk_adminkey",
        address: "192.0.2.9",
        action: "remex.registry.v1.QueueService/CreateQueue",
        deployment: "mine",
        subject: "queue:gpu",
        result: "ok",
      },
      { actor: "key:viewkey1 name of rmk_viewkey1", result: "not_allowed" },
      { actor: "key:unknown", result: "key_missing" },
    ]);
    expect(JSON.parse(kept[0]?.detailJson ?? "")).toEqual({ request: fields });
    expect(findBrokenAuditEntry("", kept)).toBeUndefined();
  });

  test("SEC-T5: the value of a token or key is in no entry", async () => {
    const secret = "rmx_abcdefgh_secret";
    kit.behave = (each) =>
      each.method.endsWith("CreateAgentToken")
        ? create(tokenV1.CreateAgentTokenResponseSchema, {
            token: { token: "abcdefgh", name: "laptop" },
            value: secret,
          })
        : undefined;
    const create_ = methodNamed("remex.token.v1.AgentTokenService/CreateAgentToken");
    await kit.call(create_, "rmk_adminkey", { deployment: "mine", name: "laptop" });
    await kit.call(methodNamed("remex.gateway.v1.LoginService/Login"), "", { value: secret });
    const kept = await entries();
    expect(kept.map((entry) => entry.subject)).toEqual(["token:abcdefgh", "login"]);
    expect(JSON.stringify(kept)).not.toContain("secret");
  });

  test("while the audit cannot be written the call is answered and the entry kept for later", async () => {
    const append = vi
      .spyOn(kit.records.audit, "append")
      .mockRejectedValueOnce(new Error("disk full"));
    const createQueue = methodNamed("remex.registry.v1.QueueService/CreateQueue");
    expect(
      await kit.call(createQueue, "rmk_adminkey", { deployment: "mine", queue: "gpu" }),
    ).toMatchObject({
      code: "ok",
    });
    await vi.waitFor(async () => expect(await entries()).toHaveLength(1), { timeout: 5_000 });
    expect(append).toHaveBeenCalledTimes(2);
  });

  test("a key of one deployment reads that deployment's entries alone", async () => {
    kit.keys.set("rmk_boundkey", { role: Role.OPERATOR, deployment: "mine" });
    const createQueue = methodNamed("remex.registry.v1.QueueService/CreateQueue");
    for (const deployment of ["mine", "other"]) {
      await kit.call(createQueue, "rmk_adminkey", { deployment, queue: "gpu" });
    }
    const audit = createClient(gatewayV1.AuditService, kit.connect);
    const headers = { authorization: "Bearer rmk_boundkey" };
    const listed = await audit.listAuditEntries({}, { headers });
    expect(listed.entries.map((entry) => entry.deployment)).toEqual(["mine"]);
    const all = await audit.listAuditEntries(
      { pageSize: 1 },
      { headers: { authorization: "Bearer rmk_adminkey" } },
    );
    expect(all.entries).toHaveLength(1);
    expect(all.nextPageToken).toBe("2");
  });
});

describe("status", () => {
  test("names the replicas, what is missing and the epoch; addresses only for keys of everything", async () => {
    kit.keys.set("rmk_boundkey", { role: Role.VIEWER, deployment: "mine" });
    const status = createClient(gatewayV1.StatusService, kit.connect);
    const whole = await status.getStatus({}, { headers: { authorization: "Bearer rmk_adminkey" } });
    expect(whole).toMatchObject({ epoch: 1794000000n, problems: ["no scheduler is running"] });
    expect(whole.replicas.map((replica) => replica.role)).toEqual([
      "registry",
      "health-monitor",
      "token",
      "gateway",
    ]);
    expect(whole.replicas[0]?.address).toBe("http://10.0.0.1:1");
    const bound = await status.getStatus({}, { headers: { authorization: "Bearer rmk_boundkey" } });
    expect(bound.replicas[0]?.address).toBe("");
  });
});
