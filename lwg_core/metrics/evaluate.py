"""All protocols over all people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..body.model import BodyModel
from ..networks.generator import AttLWBGenerator
from ..synthetic.dataset import Record
from .held_out import HeldOut, choose_pictures, held_out
from .protocol import Networks, Outcome, Setting, backdrop, cross_imitation, self_imitation

PROTOCOLS = ("self", "cross")
PICTURED = 16  # people on the sheets: pictures of thousands would fill the memory


def evaluate(
    generator: AttLWBGenerator,
    records: Iterable[Record],
    body: BodyModel,
    counts: Sequence[int],
    protocols: Sequence[str] = PROTOCOLS,
    how: Setting | None = None,
    networks: Networks | None = None,
) -> dict[tuple[str, int], list[Outcome]]:
    """Outcomes of every protocol and number of sources, per person in the order of the records.

    Each person imitates the next one, and the last the first: three people are in memory at most.
    One person alone has nobody to imitate.
    """
    how, networks = how or Setting(), networks or Networks()
    found = {(kind, count): [] for kind in PROTOCOLS if kind in protocols for count in counts}

    def measure(person: dict[int, HeldOut], other: dict[int, HeldOut] | None) -> None:
        background = backdrop(person[counts[0]], body, how)
        for (kind, count), outcomes in found.items():
            if kind == "self":
                one = self_imitation(generator, person[count], background, body, how, networks)
            elif other is not None:
                one = cross_imitation(
                    generator, person[count], other[count], background, body, how, networks
                )
            else:
                continue
            if len(outcomes) >= PICTURED:
                one = replace(one, pictures={}, heads={})
            outcomes.append(one)

    first = previous = None
    for record in records:
        person = {count: _person(record, body, how.size, count) for count in counts}
        if previous is not None:
            measure(previous, person)
        first, previous = first or person, person
    if previous is not None:
        measure(previous, None if previous is first else first)
    return found


def _person(record: Record, body: BodyModel, size: int, sources: int) -> HeldOut:
    chosen = choose_pictures(len(record.params), sources, f"person {record.seed}")
    return held_out(record, body, size, *chosen)
