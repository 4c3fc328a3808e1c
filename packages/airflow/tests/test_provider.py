# SPDX-License-Identifier: Apache-2.0
"""What Airflow finds of this package when it is installed."""

from __future__ import annotations

import importlib
import importlib.resources
import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from remex_airflow.provider import get_provider_info


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
