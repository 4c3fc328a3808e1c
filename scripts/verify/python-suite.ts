// SPDX-License-Identifier: Apache-2.0
// The checks and tests of the Python package, in a virtual environment with the Airflow we are built for.

import { existsSync } from "node:fs";
import path from "node:path";
import { rootDir } from "../launch/toolchain.mjs";
import { ensureAirflowVenv } from "../tools/python.ts";
import { freshReport, runShown, type Suite } from "./suite.ts";
import { addTallies, type Tally, tallyExitCode, tallyPytest } from "./tally.ts";

const packageDir = path.join(rootDir, "packages", "airflow");

async function runPytest(python: string): Promise<Tally> {
  const report = freshReport("pytest.xml");
  const code = await runShown(python, ["-m", "pytest", "-q", `--junit-xml=${report}`], {
    cwd: packageDir,
  });
  return tallyPytest(report, code);
}

async function runPython(): Promise<Tally> {
  const { python } = await ensureAirflowVenv();
  const tool = async (cwd: string, ...args: string[]) =>
    tallyExitCode(await runShown(python, ["-m", ...args], { cwd }));
  const results = [
    await tool(rootDir, "ruff", "format", "--check", "."),
    await tool(rootDir, "ruff", "check", "."),
    await tool(packageDir, "mypy"),
    await runPytest(python),
  ];
  return results.reduce(addTallies);
}

/** Absent as long as the package is. */
export const pythonSuites: readonly Suite[] = existsSync(path.join(packageDir, "pyproject.toml"))
  ? [{ title: "python: format, lint, types and tests", run: runPython }]
  : [];
