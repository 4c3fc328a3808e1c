// SPDX-License-Identifier: Apache-2.0
// Runs one command against the gateway: settings in, client made, answer and next step out.

import { createConnectTransport } from "@connectrpc/connect-node";
import { createRemexClient, type RemexClient } from "@remex/client";
import type { Command } from "commander";
import { type Answer, formatAnswer } from "./answer.ts";
import { type CliError, cliErrorOf } from "./cli-error.ts";
import { type CommonSettings, readCommonSettings } from "./common-options.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { loadOperatorKey } from "./operator-key.ts";
import { oneLine } from "./terminal-text.ts";
import type { World } from "./world.ts";

/** What a command works with. */
export interface GatewayCall {
  readonly client: RemexClient;
  readonly settings: CommonSettings;
  readonly deployment: string;
  /** What a suggested command needs to name the same deployment; empty for the default one. */
  readonly at: string;
  readonly world: World;
  answer(answer: Answer): Promise<void>;
  /** A next step for the person at the terminal; programs are not told. */
  suggest(text: string): void;
  /** Something that a person must know; told in every format. */
  warn(text: string): void;
  /** One line of progress, in every format: it goes to standard error. */
  progress(text: string): void;
  /** An error as it would end the command, for commands that go on after it. */
  errorOf(thrown: unknown): CliError;
}

type Work = (call: GatewayCall) => Promise<ExitCode | undefined>;

/** How commands get to the world and hand back their exit code. */
export interface Runner {
  readonly world: World;
  /** Runs `work` with a client of the gateway that the options of `leaf` name. */
  run(leaf: Command, work: Work): Promise<void>;
  /** For commands that need no gateway. */
  finish(exitCode: ExitCode): void;
}

export function createRunner(world: World, finish: (exitCode: ExitCode) => void): Runner {
  return {
    world,
    finish,
    run: async (leaf, work) => {
      const settings = readCommonSettings(leaf, world.env);
      const call = createCall(settings, world);
      try {
        finish((await work(call)) ?? exitCodes.ok);
      } catch (thrown) {
        throw cliErrorOf(thrown, settings.url);
      }
    },
  };
}

function createCall(settings: CommonSettings, world: World): GatewayCall {
  // Read once, at the first call: what is wrong with the command line itself is said before.
  let key: Promise<string> | undefined;
  const transport = createConnectTransport({ baseUrl: settings.url, httpVersion: "1.1" });
  const client = createRemexClient(transport, {
    key: () => {
      key ??= loadOperatorKey(settings.keyFile, world);
      return key;
    },
    timeoutMs: settings.timeoutMs,
    // A person waits at the terminal: a gateway that is not there is said soon.
    repeat: { maxTries: 3, maxMs: 2_000 },
  });
  const tell = (line: string) => world.tell(`${oneLine(line)}\n`);
  return {
    client,
    settings,
    deployment: settings.deployment,
    at: settings.deployment === "default" ? "" : ` --deployment ${settings.deployment}`,
    world,
    answer: (answer) => world.write(formatAnswer(answer, settings.format)),
    suggest: (text) => {
      if (settings.format === "table") tell(`next: ${text}`);
    },
    warn: (text) => tell(`warning: ${text}`),
    progress: tell,
    errorOf: (thrown) => cliErrorOf(thrown, settings.url),
  };
}
