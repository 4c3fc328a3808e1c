# SPDX-License-Identifier: Apache-2.0
"""A DAG whose task fails on its first try and succeeds on its second: retries are Airflow's to decide."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag, get_current_context, task


@dag(schedule=None, tags=["remex"])
def remex_retry():
    """Fail once, then succeed, then tell how many tries it took."""

    @task(retries=2, retry_delay=timedelta(seconds=1))
    def succeeds_on_second_try() -> int:
        """Fail on the first try."""
        tries = get_current_context()["ti"].try_number
        if tries == 1:
            raise RuntimeError("the first try fails on purpose")
        return tries

    @task
    def tell(tries: int) -> str:
        """Say how often the task before was tried."""
        return f"it took {tries} tries"

    tell(succeeds_on_second_try())


remex_retry()
