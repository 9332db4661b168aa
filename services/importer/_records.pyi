# The compiled reader in native/; staged_records.py is what the importer uses.
from typing import TypeAlias

from typing_extensions import CapsuleType

# Name, column, kind (n, i, a, v: as in native/records.h), and whether it is required.
_Field: TypeAlias = tuple[str, str, str, bool]

def stream(
    *,
    path: str,
    ticker: str,
    fields: tuple[_Field, ...],
    row_field: str | None,
    parts: tuple[_Field, ...],
    least_parts: int,
    rows: bool,
    kept: bytes | None,
    block_bytes: int,
    batch_rows: int,
    most_bytes: int,
    most_depth: int,
) -> CapsuleType: ...
