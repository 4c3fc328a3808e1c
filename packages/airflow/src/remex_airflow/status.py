# SPDX-License-Identifier: Apache-2.0
"""`airflow remex status`: what the settings of Airflow lead to."""

from __future__ import annotations

import sys
from typing import Any

from .control_plane.gateway import Gateway, GatewayError
from .settings import SettingsError, load_settings


def show_status(args: Any) -> None:
    """Show the control plane as this Airflow sees it; exits with 1 when it cannot be used."""
    del args
    from airflow.configuration import conf

    try:
        lines = describe(Gateway(load_settings(conf)))
    except (SettingsError, GatewayError) as error:
        sys.exit(str(error))
    print("\n".join(lines))  # noqa: T201 - the command's output


def describe(gateway: Gateway) -> list[str]:
    """Return the lines of the status; raises GatewayError."""
    settings = gateway.settings
    who = gateway.call("remex.gateway.v1.LoginService/WhoAmI", {}, deployment=False)
    role = str(who.get("role", "")).removeprefix("ROLE_").lower()
    scope = who.get("deployment") or "all deployments"
    lines = [
        f"url         {settings.url}",
        f"deployment  {settings.deployment}",
        f"key         {who.get('key', '')} ({who.get('name', '')}), role {role}, for {scope}",
    ]
    health: dict[str, int] = {}
    page = ""
    while True:
        answer = gateway.call(
            "remex.registry.v1.AgentService/ListAgents", {"pageSize": 1000, "pageToken": page}
        )
        for agent in answer.get("agents", []):
            word = str(agent.get("health", "AGENT_HEALTH_UNKNOWN")).removeprefix("AGENT_HEALTH_").lower()
            health[word] = health.get(word, 0) + 1
        page = answer.get("nextPageToken", "")
        if not page:
            break
    counts = ", ".join(f"{count} {word}" for word, count in sorted(health.items()))
    return [*lines, f"agents      {counts or 'none'}"]
