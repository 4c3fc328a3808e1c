# SPDX-License-Identifier: Apache-2.0
"""Talks to the Remex gateway."""
