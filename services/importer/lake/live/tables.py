"""The tables that live messages are stored in."""

from __future__ import annotations

from typing import Final

SNAPSHOTS: Final = "gex_snapshots"
STRIKES: Final = "gex_strikes"
WEBHOOKS: Final = ("universal_webhooks", "option_trades_events", "market_agg_state")
"""Rows are only added to them."""
CHAIN_SNAPSHOTS: Final = "chain_snapshots"
CHAIN_STRIKES: Final = "chain_strikes"
CHAINS: Final = (CHAIN_SNAPSHOTS, CHAIN_STRIKES)
"""Their files have the rows of the view ``option_chains``, which joins them."""
LIVE_TABLES: Final = (SNAPSHOTS, STRIKES, *WEBHOOKS, *CHAINS)
KEYS: Final = "gex_strikes_keys"
"""Stands for the keys of snapshots whose strikes a batch has replaced, among the names of files."""
