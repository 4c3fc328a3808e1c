# SPDX-License-Identifier: Apache-2.0
"""The runner: parents Airflow work beside an agent, as PROTOCOL's guard (G1)."""
