# SPDX-License-Identifier: Apache-2.0
"""The far sides that the tests play: an agent, a control plane, Airflow's Execution API."""
