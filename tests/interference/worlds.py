"""Where histories are played: one world for each cast."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sr_engine.instance import SupplierSeed
from sr_engine.store.tables import metadata
from sr_engine.store.units_of_work import UnitOfWork
from tests.interference.play import History, Observed, Play
from tests.interference.variations import Variation
from tests.world import NOW, A, World, edit, make_world


class Worlds:
    """Worlds by cast; the next play begins where the last one has been forgotten."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._made: dict[tuple[object, ...], World] = {}
        self._remembered: dict[tuple[History, Variation], Observed] = {}

    def open(self, variation: Variation) -> World:
        """A world in which nothing has happened."""
        key = (variation.cast, variation.two_users, variation.duis_version)
        world = self._made.get(key)
        if world is None:
            world = self._made[key] = self._make(variation, self._directory / f"world-{len(self._made)}")
        world.clock.set(NOW)
        world.counters.clear()
        world.run(_forget_everything)
        return world

    def _make(self, variation: Variation, directory: Path) -> World:
        def prepare(_directory: Path) -> None:
            (directory / "users.toml").write_text(_users(variation), encoding="utf-8")
            # Small pages and alerts: what stands on which is seen as well.
            edit(directory / "config" / "policy.toml", "page_devices = 200", "page_devices = 2")
            edit(directory / "config" / "policy.toml", "alert_max_devices = 4_000", "alert_max_devices = 2")
            # One hub a night, so that it is easily taken by others.
            edit(directory / "config" / "regions.toml", "hubs_per_night = 6000", "hubs_per_night = 1")

        return make_world(directory, suppliers=variation.cast, prepare=prepare)

    def close(self) -> None:
        for world in self._made.values():
            world.close()

    def first(self, history: History, variation: Variation) -> Observed:
        """The same, played once and remembered."""
        known = self._remembered.get((history, variation))
        if known is None:
            known = self._remembered[history, variation] = self.play(history, variation)
        return known

    def play(self, history: History, variation: Variation) -> Observed:
        """What THIS Supplier sees of a history in the world of a variation, with a last look at its end."""
        stage = Play(self.open(variation), variation)
        history(stage)
        stage.look()
        return stage.observed()


def _forget_everything(unit_of_work: UnitOfWork) -> None:
    for table in reversed(metadata.sorted_tables):
        unit_of_work.connection.execute(table.delete())


def _users(variation: Variation) -> str:
    other, gas = variation.other, variation.for_gas
    split = ((other, ("IS",)), (gas, ("GS",)))
    users: list[tuple[str, str, Iterable[tuple[SupplierSeed, tuple[str, ...]]]]] = [
        (A.name, "5.4", ((A, A.roles),)),
        (other.name, variation.duis_version, split if variation.two_users else ((other, other.roles),)),
        (variation.next.name, variation.duis_version, ((variation.next, variation.next.roles),)),
    ]
    text = []
    for organisation, version, of_organisation in users:
        text.append(f'[[organisation]]\nid = "{organisation}"\nstatus = "Active"\n')
        for user, roles in of_organisation:
            text.append(
                f'[[organisation.user]]\neui = "{user.eui}"\nroles = {list(roles)}\n'
                f'receiving_url = "{user.receiving_url}"\nduis_version = {version}\nstatus = "Active"\n'
            )
    return "\n".join(text).replace("'", '"')
