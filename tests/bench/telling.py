"""Whether the time that an answer takes tells the ids of another Supplier from those of nothing, in the API.

`python -m tests.bench.telling` measures it alone.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from sr_engine.instance import SAMPLE_SUPPLIERS
from tests.api.conftest import HOMES, NO_HUB, THEIRS, ApiWorld, C, prepare
from tests.api.test_isolation import UNKNOWN_SCHEDULE, UNKNOWN_WEBHOOK, Ids, ask, tries
from tests.bench.measure import Row
from tests.gateway.conftest import serving
from tests.requests.conftest import schedule_id
from tests.world import A, B, make_world

ASKED = 100
_NO_QUESTION = ("/changes", "/registrations")
"""What waits, or names nothing."""


def rows() -> Iterator[Row]:
    """The route on which the medians differ most, whichever is longer."""
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder) / "instance", suppliers=(*SAMPLE_SUPPLIERS, C), prepare=prepare)
        world.add_hubs(HOMES)
        release_id = world.open_release()
        with serving(world) as served:
            ratios = _ratios(ApiWorld(world, served.port, release_id))
        world.close()
    worst = max(ratios, key=lambda route: ratios[route])
    what = f"another Supplier's id beside one of nothing, {len(ratios)} kinds of request, {ASKED} each, the worst"
    yield Row(f"{what} ({worst}): medians of the time", ratios[worst], "x", 1.5)


def _ratios(api: ApiWorld) -> dict[str, float]:
    number = schedule_id(api.suppliers.schedule(B, THEIRS.chf))
    hook = api.client(B).do("/webhooks", {"url": "http://127.0.0.1:9/"})["webhook_id"]
    theirs = Ids(THEIRS.chf, number, hook, "now", api.release_id)
    nothing = Ids(NO_HUB, UNKNOWN_SCHEDULE, UNKNOWN_WEBHOOK, "now", api.release_id)
    client, found = api.client(A), {}
    for one in tries():
        if one.route.startswith(_NO_QUESTION) or (one.route == "/webhooks" and one.method == "POST"):
            continue
        taken: dict[Ids, list[float]] = {theirs: [], nothing: []}
        for _ in range(ASKED):
            for ids, times in taken.items():
                began = time.perf_counter()
                ask(client, one, ids)
                times.append(time.perf_counter() - began)
        longer, shorter = sorted((median(times) for times in taken.values()), reverse=True)
        found[f"{one.method} {one.route}{one.query}"] = longer / shorter
    return found


if __name__ == "__main__":
    for row in rows():
        print(row.name, f"{row.figure:.2f}", row.unit, row.met)
