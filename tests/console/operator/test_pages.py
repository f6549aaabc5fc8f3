"""All pages of an operator: there, small, without anything of others' making, and as sheets."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.console.desk import Somebody, console_world
from tests.console.operator.busy import SHEETS, Busy, make_busy, pages
from tests.console.operator.office import OperatorFront, found_out

MOST_BYTES = 150_000


@dataclass
class Looking:
    """An operator who looks at a busy world, and changes nothing."""

    olga: Somebody
    busy: Busy


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Looking]:
    front = OperatorFront(console_world(tmp_path_factory.mktemp("busy") / "instance"))
    busy = make_busy(front)
    yield Looking(front.olga(), busy)
    front.close()


def test_every_page_is_there_and_small_and_says_nothing_inline(looking: Looking) -> None:
    busy, olga = looking.busy, looking.olga

    for path in pages(busy):
        page = olga.open(path)
        assert page.status_code == 200, (path, olga.text)
        assert len(page.content) < MOST_BYTES, path
        assert olga.heading, path
        inline = olga.tree.xpath("//style | //script[not(@src)] | //*[@style] | //*[starts-with(name(@*), 'on')]")
        assert not inline, (path, [one.tag for one in inline])
        ids = olga.tree.xpath("//@id")
        assert len(ids) == len(set(ids)), (path, sorted(one for one in ids if ids.count(one) > 1))


def test_every_page_leads_on_to_pages_that_are_there(looking: Looking) -> None:
    busy, olga = looking.busy, looking.olga
    seen = dict[str, str]()
    for path in pages(busy):
        olga.open(path)
        for address in olga.tree.xpath("//main//a/@href"):
            # One of those that differ by an id only.
            seen.setdefault(re.sub(r"=[^&]*|[0-9a-f]{32}|/[0-9]+", "", address), address)

    assert len(seen) > 20
    for address in sorted(seen.values()):
        page = olga.open(address.removeprefix("/console"))
        # The levels and the plan are had as sheets once they were found out.
        assert page.status_code == 200, address


def test_every_list_is_had_as_a_sheet_of_either_kind(looking: Looking) -> None:
    olga = looking.olga
    for name in ("plan", "levels"):
        found_out(olga, f"/operator/{name}")

    for name in SHEETS:
        text = olga.open(f"/operator/{name}/sheet?kind=csv&state=").content.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text)))
        assert len(rows) > 1, name
        assert {len(row) for row in rows} == {len(rows[0])}, name
        book = olga.open(f"/operator/{name}/sheet?kind=xlsx")
        assert "attachment" in book.headers["content-disposition"]
        assert "xl/workbook.xml" in zipfile.ZipFile(io.BytesIO(book.content)).namelist(), name
        assert olga.open(f"/operator/{name}/sheet?kind=exe").status_code == 404


def test_pages_with_running_work_say_when_they_would_show_anything_else(looking: Looking) -> None:
    busy, olga = looking.busy, looking.olga
    live = 0
    for path in pages(busy):
        olga.open(path)
        for address in olga.tree.xpath("//@data-live-from"):
            live += 1
            assert "/live?" in address, path
            assert olga.tree.xpath("//*[@data-live][@id]"), path
            assert "http-equiv" in olga.page.text or "looked" not in olga.page.text, path

    assert live > 8


@pytest.mark.parametrize(
    "path",
    [
        *(f"/operator/{page}?after=x" for page in ("deliveries", "csp", "quarantine")),
        "/operator/csp?after=9999-12-31T23:59_x",
        "/operator/csp?after=0001-01-01T00:00%2B14:00_x",
        "/operator/quarantine?after=2026-12-01T00:00_1",
        f"/operator/quarantine?after=2026-12-01T00:00Z_{10**30}",
        f"/operator/deliveries?after={10**30}",
        f"/operator/deliveries?state=Pending&after={10**30}-1-x",
        f"/operator/deliveries?state=Pending&after=1-{10**30}-x",
        f"/operator/messages/{10**30}",
        f"/operator/audit/{10**30}/sheet",
    ],
)
def test_a_place_that_no_page_gave_is_not_found(looking: Looking, path: str) -> None:
    assert looking.olga.open(path).status_code == 404
