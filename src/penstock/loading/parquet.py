"""Parquet: columns have types, which are kept where the table's are alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.backends.arrow import load_arrow
from penstock.loading.sources import BATCH, Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from penstock.loading.files import Input


class Parquet(Source):
    """A Parquet file.

    Args:
        given: Its bytes.
    """

    def __init__(self, given: Input) -> None:
        super().__init__(given)
        with self._reading(), self._file() as file:
            self._schema, self.rows = file.schema_arrow, file.metadata.num_rows
        self._check_columns(self._schema.names)
        self.columns = {field.name: str(field.type) for field in self._schema}
        self._read = 0

    @property
    def position(self) -> int:
        """How far it is, in bytes: Parquet is not read from its beginning to its end."""
        return self.size * self._read // max(self.rows or 0, 1)

    def types(self) -> Mapping[str, Any]:
        return {field.name: field.type for field in self._schema}

    def batches(self, names: Sequence[str], documents: Collection[str]) -> Iterator[Any]:
        self._read = 0
        with self._reading(), self._file() as file:
            for batch in file.iter_batches(BATCH, columns=list(names)):
                self._read += batch.num_rows
                yield batch.select(list(names))

    def _file(self) -> Any:
        from pyarrow.parquet import ParquetFile

        return ParquetFile(self._input.path)

    def _reading(self) -> Any:
        return self._input.reading(load_arrow().ArrowException, OSError)
