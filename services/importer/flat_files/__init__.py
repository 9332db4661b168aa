"""A flat file of the vendor, a day's minute bars of all symbols, becomes rows of that trading day.

``content`` unpacks it, ``staging`` reads and checks its rows, ``merge`` decides which are written,
``replace`` writes them and the day's Parquet file, ``table`` keeps which file a day was imported from,
``handler`` carries out a command, ``recovery`` finishes what a process that died has committed.
"""
