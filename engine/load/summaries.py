"""Lists that show a part of each row: one that may be of a creation in doubt is read by itself."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from engine.destination.match import Wanted, may_be
from engine.destination.rows import Row, RowCodec
from engine.extract.records import other_id
from engine.session import Run

MOST = 50  # rows that are read by themselves in one look


class Summaries(msgspec.Struct):
    """The rows of one look that were read by themselves, and those that could not be."""

    run: Run
    codec: RowCodec
    reads: int = 0
    unread: list[Row] = []

    def completed(
        self, wanted: Sequence[Wanted], rows: Sequence[Row]
    ) -> list[Row]:
        """These rows; as they show themselves, where too little is shown to tell whether they are
        one that is wanted.
        """
        names = {name for one in wanted for name in one.filled}
        found = []
        for row in rows:
            is_whole = all(self.codec.shows(row, name) for name in names)
            if not is_whole and any(
                may_be(one, row, self.codec) for one in wanted
            ):
                row = self._whole(row)
            found.append(row)
        return found

    def _whole(self, row: Row) -> Row:
        resource = self.codec.resource
        row_id = resource.id_of(row)
        self.reads += 1
        if self.reads > MOST or "read" not in resource.operations:
            self.unread.append(row)
            return row
        state, own = self.run.destination.look(resource.name, row_id)
        if state == "there" and not other_id(resource, own, row_id):
            return {**row, **own}
        if state == "unclear":
            self.unread.append(row)
        return row
