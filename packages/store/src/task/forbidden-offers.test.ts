// SPDX-License-Identifier: Apache-2.0
// Proves that agents which may get no work get none, whatever a scheduler believes (I6, S3, O1).
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  attemptOf,
  candidate,
  claim,
  confirm,
  deployment,
  startTaskWorld,
  submission,
  type TaskWorld,
} from "./task-test-kit.ts";

let world: TaskWorld;
beforeAll(async () => {
  world = await startTaskWorld();
});
beforeEach(() => world.reset());
afterAll(() => world.stop());

const submit = (...words: string[]) =>
  world.tasks.submit({ deployment, items: words.map((word) => submission(word)) });
const withdraw = (agent: string, session: string) =>
  world.tasks.withdrawOffers({ deployment, agents: [{ agent, session, reason: "cordoned" }] });

const forbidding: [string, Record<string, string>, string][] = [
  ["cordoned", { availability: "CORDONED" }, "not_schedulable"],
  ["draining", { availability: "DRAINING" }, "not_schedulable"],
  ["deleted", { availability: "DELETED" }, "not_schedulable"],
  ["registered and not yet heard", { health: "REGISTERED" }, "not_healthy"],
  ["degraded", { health: "DEGRADED" }, "not_healthy"],
  ["suspect", { health: "SUSPECT" }, "not_healthy"],
  ["failed", { health: "FAILED", state: "ENDED" }, "session_over"],
  ["ending", { state: "ENDING" }, "session_over"],
];

describe("an agent that is not to be offered work", () => {
  test.each(forbidding)("I6: %s", async (_title, fields, why) => {
    await submit("one");
    const session = await world.setSession("a", fields);
    const refused = await claim(world, [candidate("a", session)]);
    expect(refused.offers).toEqual([]);
    expect(refused.unfit).toMatchObject([{ candidate: { agent: "a" }, why }]);
    // It is the agent alone: another one gets the task in the same breath.
    const other = await world.setSession("b");
    const taken = await claim(world, [candidate("a", session), candidate("b", other)]);
    expect(taken.offers.map((offer) => offer.candidate.agent)).toEqual(["b"]);
  });

  test.each([
    ["cordoned", { availability: "CORDONED" }, "cordoned"],
    ["draining", { availability: "DRAINING" }, "cordoned"],
    ["deleted", { availability: "DELETED", state: "ENDING" }, "session_ending"],
  ])(
    "PROTOCOL-S3 PROTOCOL-O1: one that was %s since the offer is not confirmed",
    async (_title, fields, problem) => {
      await submit("one");
      const session = await world.setSession("a");
      const [offer] = (await claim(world, [candidate("a", session)])).offers;
      if (offer === undefined) throw new Error("no offer");
      await world.redis.commands.hset(`rmx:{${deployment}}:session:a`, fields);
      const accept = { id: offer.id, attempt: attemptOf(offer) };
      expect(await confirm(world, "a", session, [accept])).toEqual([problem]);
      const other = await world.setSession("b");
      expect((await claim(world, [candidate("b", other)])).offers).toMatchObject([
        { id: offer.id },
      ]);
    },
  );
});

describe("what cut-off work does", () => {
  const policy = async (
    task: "CONTINUE" | "ABORT" | undefined,
    group: string,
    ofDeployment: string,
  ) => {
    await world.reset({ onCut: ofDeployment });
    const item = task === undefined ? {} : { onCut: task };
    await world.tasks.submit({ deployment, items: [submission("one", item)] });
    const session = await world.setSession("a", { onCut: group });
    const [offer] = (await claim(world, [candidate("a", session)])).offers;
    if (offer === undefined) throw new Error("no offer");
    const accept = { id: offer.id, attempt: attemptOf(offer) };
    const [first] = await confirm(world, "a", session, [accept]);
    // A change afterwards is not for this attempt.
    await world.redis.commands.hset(`rmx:{${deployment}}:session:a`, "onCut", "CONTINUE");
    expect(await confirm(world, "a", session, [accept])).toEqual([first]);
    return first;
  };

  test.each([
    ["PROTOCOL-H1: is what the task says", "ABORT", "CONTINUE", "CONTINUE", "confirm_abort"],
    ["PROTOCOL-H1: which holds over all others", "CONTINUE", "ABORT", "ABORT", "confirm"],
    ["PROTOCOL-H1: else what the group says", undefined, "ABORT", "CONTINUE", "confirm_abort"],
    ["PROTOCOL-H1: whatever the deployment does", undefined, "CONTINUE", "ABORT", "confirm"],
    ["PROTOCOL-H1: else what the deployment says", undefined, "", "ABORT", "confirm_abort"],
  ] as const)("%s", async (_title, task, group, ofDeployment, answer) => {
    expect(await policy(task, group, ofDeployment)).toBe(answer);
  });
});

describe("withdrawing", () => {
  test("PROTOCOL-O1: open offers go back to their place, what was confirmed runs on", async () => {
    await submit("one", "two");
    const session = await world.setSession("a");
    const offers = (await claim(world, [candidate("a", session)])).offers;
    const [first, second] = offers;
    if (first === undefined || second === undefined) throw new Error("no offers");
    await confirm(world, "a", session, [{ id: first.id, attempt: attemptOf(first) }]);
    expect(await withdraw("a", session)).toMatchObject({
      attempts: [{ agent: "a", session, id: second.id, attempt: attemptOf(second) }],
    });
    const other = await world.setSession("b");
    expect((await claim(world, [candidate("b", other)])).offers).toMatchObject([{ id: second.id }]);
    expect(await withdraw("a", session)).toMatchObject({ attempts: [] });
  });

  test("PROTOCOL-O1: offers of another session are not meant, and an accept that is late is refused", async () => {
    await submit("one");
    const session = await world.setSession("a");
    const [offer] = (await claim(world, [candidate("a", session)])).offers;
    if (offer === undefined) throw new Error("no offer");
    expect(await withdraw("a", "1.1")).toMatchObject({ attempts: [] });
    await withdraw("a", session);
    const accept = { id: offer.id, attempt: attemptOf(offer) };
    expect(await confirm(world, "a", session, [accept])).toEqual(["attempt_stale"]);
  });
});
