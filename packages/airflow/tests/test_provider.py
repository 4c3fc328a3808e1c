# SPDX-License-Identifier: Apache-2.0
"""What Airflow finds of this package when it is installed."""

from __future__ import annotations

import importlib
import importlib.resources
import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from remex_airflow.provider import get_provider_info

from .kit.fake_control_plane import DEPLOYMENT, KEY, fake_control_plane


def test_the_entry_point_leads_to_the_provider() -> None:
    (entry,) = [
        e for e in entry_points(group="apache_airflow_provider") if e.module.startswith("remex_airflow")
    ]
    assert entry.load() is get_provider_info


def test_importing_the_provider_imports_no_airflow() -> None:
    """Every call of `airflow` imports it."""
    code = "import sys, json, remex_airflow.provider; print(json.dumps([m for m in sys.modules if m == 'airflow']))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert json.loads(run.stdout) == []


@pytest.mark.airflow
def test_airflow_accepts_the_description() -> None:
    import airflow
    from jsonschema import validate

    schema = importlib.resources.files(airflow) / "provider_info.schema.json"
    validate(get_provider_info(), json.loads(schema.read_text()))


@pytest.mark.airflow
def test_the_names_in_it_lead_somewhere() -> None:
    info = get_provider_info()
    for name in (*info["executors"], *info["cli"]):
        module, attribute = name.rsplit(".", 1)
        assert hasattr(importlib.import_module(module), attribute)
    from remex_airflow.cli import get_cli_commands

    (group,) = get_cli_commands()
    assert [command.name for command in group.subcommands] == ["status"]


@pytest.mark.airflow
def test_airflow_remex_status(tmp_path: Path) -> None:
    """The command is found by Airflow, and says what the settings lead to."""
    with fake_control_plane() as plane:
        settings = {"URL": plane.url, "DEPLOYMENT": DEPLOYMENT, "KEY": KEY}
        env = {**os.environ, "AIRFLOW_HOME": os.fspath(tmp_path)}
        env |= {f"AIRFLOW__REMEX__{name}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "airflow", "remex", "status"]
        good = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        env["AIRFLOW__REMEX__KEY"] = "rmk_wrong"
        bad = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stderr
    assert "agents      2 healthy" in good.stdout
    assert bad.returncode == 1
    assert "the key is unknown" in bad.stderr
