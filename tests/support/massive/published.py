"""Responses as the vendor publishes them: in its documentation, and in the tests of its client."""

from __future__ import annotations

from typing import Final

AGGREGATES: Final = """{"adjusted": true, "next_url":
"https://api.massive.com/v2/aggs/ticker/AAPL/range/1/day/1578114000000/2020-01-10?cursor=bGltaXQ9MiZzb3J0PWFzYw",
"queryCount": 2, "request_id": "6a7e466379af0a71039d60cc78e72282", "results": [
{"c": 75.0875, "h": 75.15, "l": 73.7975, "n": 1, "o": 74.06, "t": 1577941200000, "v": 135647456,
"vw": 74.6099},
{"c": 74.3575, "h": 75.145, "l": 74.125, "n": 1, "o": 74.2875, "t": 1578027600000, "v": 146535512,
"vw": 74.7026}],
"resultsCount": 2, "status": "OK", "ticker": "AAPL"}"""

AGGREGATES_OF_CLIENT: Final = """{"ticker": "AAPL", "queryCount": 2, "resultsCount": 2, "adjusted": true,
"results": [
{"v": 642646396.0, "vw": 1.469, "o": 1.5032, "c": 1.4604, "h": 1.5064, "l": 1.4489, "t": 1112331600000,
"n": 82132},
{"v": 578172308.0, "vw": 1.4589, "o": 1.4639, "c": 1.4675, "h": 1.4754, "l": 1.4343, "t": 1112587200000,
"n": 65543}],
"status": "OK", "request_id": "12afda77aab3b1936c5fb6ef4241ae42", "count": 2}"""

SNAPSHOT: Final = """{"request_id": "657e430f1ae768891f018e08e03598d8", "status": "OK", "ticker": {
"day": {"c": 120.4229, "h": 120.53, "l": 118.81, "o": 119.62, "v": 28727868, "vw": 119.725},
"lastQuote": {"P": 120.47, "S": 4, "p": 120.46, "s": 8, "t": 1605195918507251700},
"lastTrade": {"c": [14, 41], "i": "4046", "p": 120.47, "s": 236, "t": 1605195918306274000, "x": 10},
"min": {"av": 28724441, "c": 120.4201, "h": 120.468, "l": 120.37, "n": 762, "o": 120.435,
"t": 1684428720000, "v": 270796, "vw": 120.4129},
"prevDay": {"c": 119.49, "h": 119.63, "l": 116.44, "o": 117.19, "v": 110597265, "vw": 118.4998},
"ticker": "AAPL", "todaysChange": 0.98, "todaysChangePerc": 0.82, "updated": 1605195918306274000}}"""

SNAPSHOTS: Final = """{"count": 1, "status": "OK", "tickers": [{
"day": {"c": 20.506, "h": 20.64, "l": 20.506, "o": 20.64, "v": 37216, "vw": 20.616},
"lastQuote": {"P": 20.6, "S": 22, "p": 20.5, "s": 13, "t": 1605192959994246100},
"lastTrade": {"c": [14, 41], "i": "71675577320245", "p": 20.506, "s": 2416, "t": 1605192894630916600, "x": 4},
"min": {"av": 37216, "c": 20.506, "h": 20.506, "l": 20.506, "n": 1, "o": 20.506, "t": 1684428600000,
"v": 5000, "vw": 20.5105},
"prevDay": {"c": 20.63, "h": 21, "l": 20.5, "o": 20.79, "v": 292738, "vw": 20.6939},
"ticker": "BCAT", "todaysChange": -0.124, "todaysChangePerc": -0.601, "updated": 1605192894630916600}]}"""

MINUTE_EVENT: Final = """[{"ev": "AM", "sym": "GTE", "v": 4110, "av": 9470157, "op": 0.4372, "vw": 0.4488,
"o": 0.4488, "c": 0.4486, "h": 0.4489, "l": 0.4486, "a": 0.4352, "z": 685,
"s": 1610144640000, "e": 1610144700000}]"""

FLAT_FILE: Final = """ticker,volume,open,close,high,low,window_start,transactions
AAPL,4930,200.29,200.5,200.63,200.29,1744792500000000000,129
AAPL,1815,200.39,200.34,200.61,200.34,1744792560000000000,57
"""
