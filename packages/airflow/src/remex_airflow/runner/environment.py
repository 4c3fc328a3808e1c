# SPDX-License-Identifier: Apache-2.0
"""The environment that Airflow sees on an agent: no database, no keys, its files in the state directory."""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

AGENT_NAME = "REMEX_AGENT_NAME"
UNUSABLE_DATABASE = "sqlite:////dev/null/there-is-no-airflow-database-on-an-agent"
_DATABASE = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__SQL_ALCHEMY_CONN")
_DATABASE_FORMS = tuple(name + suffix for name in _DATABASE for suffix in ("", "_CMD", "_SECRET"))
# With these a task could mint tokens for any other, read what the metadata database holds, or be an agent.
_KEYS = (
    "REMEX_AGENT_TOKEN",
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "AIRFLOW__API_AUTH__JWT_PRIVATE_KEY_PATH",
    "AIRFLOW__API__SECRET_KEY",
)


class DatabaseConfiguredError(Exception):
    """The agent's environment names an Airflow database, which tasks on an agent must not reach."""


def refuse_database(environ: Mapping[str, str]) -> None:
    """Refuse an environment or an airflow.cfg that names a real metadata database."""
    for name in _DATABASE_FORMS:
        value = environ.get(name, "")
        if value and value != UNUSABLE_DATABASE:
            raise DatabaseConfiguredError(
                f"{name} is set: an agent has no access to the Airflow metadata database; "
                "take it out of the agent's environment, or pass --allow-database if you mean it"
            )
    home = Path(environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()
    file = Path(environ.get("AIRFLOW_CONFIG") or home / "airflow.cfg").expanduser()
    configured = _database_in(file)
    if configured and not configured.startswith("sqlite:"):
        raise DatabaseConfiguredError(
            f"sql_alchemy_conn in {file} names a database: an agent has no access to the Airflow metadata "
            "database; take it out, set AIRFLOW_HOME to another directory, or pass --allow-database if you mean it"
        )


def _database_in(file: Path) -> str:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(file)
    except (configparser.Error, UnicodeDecodeError, OSError):
        # Airflow itself reports a broken airflow.cfg, with more to say about it.
        return ""
    return parser.get("database", "sql_alchemy_conn", fallback="").strip()


def prepare(environ: MutableMapping[str, str], state_dir: Path, allow_database: bool) -> list[str]:
    """Set what an agent needs and drop the keys that it must not have; return their names.

    Whatever the user has set stands, but for the database and the servers' keys.
    """
    if not allow_database:
        environ[_DATABASE[0]] = UNUSABLE_DATABASE
    dropped = [name for name in _KEYS for name in (name, f"{name}_CMD", f"{name}_SECRET") if name in environ]
    for name in dropped:
        del environ[name]
    for name, value in _defaults(state_dir).items():
        environ.setdefault(name, value)
    for name in ("NO_PROXY", "no_proxy"):
        # The agent's Execution API listens on loopback: no proxy can reach it.
        hosts = environ.get(name, "").split(",")
        environ[name] = ",".join(dict.fromkeys(host for host in (*hosts, "127.0.0.1", "localhost") if host))
    return dropped


def _defaults(state_dir: Path) -> dict[str, str]:
    return {
        "AIRFLOW_HOME": os.fspath(state_dir / "airflow"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": os.fspath(state_dir / "logs"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # Airflow tells tasks apart by host name, user and process id: two agents in containers are alike in all.
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "remex_airflow.runner.hostname.agent_name",
        # With Airflow's own values a cut of 31 s kills the running tasks; the lease protocol judges here.
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "40",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "12",
        # While it is cut off, the agent holds a question open for 30 s before it lets the task ask again.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "45",
        # Without it, bash takes the socket on a task's standard input for a login from afar: it runs ~/.bashrc.
        "SHLVL": "1",
    }
