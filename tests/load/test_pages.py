"""What reading a collection takes of memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from engine.extract.full import extract
from tests.load.desk import desk
from tests.platforms.platform import Platform, served


def test_a_page_is_freed_before_the_next_is_read(tmp_path: Path) -> None:
    """Reading many pages takes hardly more memory than reading one: none is held beside the one that follows."""

    def peak(pages: int) -> int:
        rows = [{"id": number, "name": f"Person {number}", "notes": ["x" * 50] * 3_000} for number in range(1, 10 * pages + 1)]
        folder = tmp_path / str(pages)
        folder.mkdir()
        platform = Platform({"people": rows, "firms": [], "contacts": [], "companies": []})
        with served(platform), desk(folder, platform) as table:
            tracemalloc.start()
            try:
                extract(table.run)
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    assert peak(5) < 1.3 * peak(1)
