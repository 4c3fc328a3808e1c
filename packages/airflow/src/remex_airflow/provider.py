# SPDX-License-Identifier: Apache-2.0
"""What Airflow learns of this package: its executor, its settings and its commands."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description."""
    return {}
