"""Back up a running system into a folder, and restore it: ``python -m gexlake.backup``, ``gexlake backup``.

DIR/manifest.json   every file with its size and checksum, the streams, and the counts of the database
DIR/gex_data.db     a copy that the importer made and counted
DIR/parquet/ DIR/records/ DIR/source/    as below the data folder
DIR/streams/        a snapshot of each stream and key-value bucket, with its consumers
DIR/secrets/urls/keys    the keys of the signed URLs in the streams
"""
