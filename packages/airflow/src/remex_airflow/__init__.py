# SPDX-License-Identifier: Apache-2.0
"""Runs Apache Airflow tasks on Remex agents."""

__version__ = "0.1.0"
