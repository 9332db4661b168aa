"""Messages of CHRONOX become rows of minute bars and snapshots: one batch, one transaction.

``rows`` decodes and checks them, ``merge`` decides which bars are written, ``store`` writes a batch,
``service`` consumes CHRONOX, ``days`` and ``export`` keep the Parquet file of each trading day, ``load``
reads it for a database that was created again.
"""
