"""The ledger, indexed: how figures and report find numbers, contrasts and arms.

Figures and report go by quantities, keys and roles. They never read an id as text, and never
the name that a user gave a contrast.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from cudagraph_lab.config.contrast import Contrast, Role
from cudagraph_lab.errors import LabError
from cudagraph_lab.ledger.build import Ledger, Number
from cudagraph_lab.ledger.catalogue import RATIO
from cudagraph_lab.ledger.quantity import NumberId, Quantity
from cudagraph_lab.observations.dataset import Dataset


@dataclass(frozen=True)
class Index:
    """A ledger whose numbers are found by data set and id."""

    ledger: Ledger
    numbers: Mapping[tuple[str, str], Number]
    datasets: Mapping[str, Dataset]

    @cached_property
    def main(self) -> list[Dataset]:
        """The data sets that the page is about one by one.

        Those of a series that was measured elsewhere are shown together, in a section of their own.
        """
        here = self.ledger.measured_here
        return [d for d in self.ledger.datasets if d.series is None or d.name in here]

    @cached_property
    def by_quantity(self) -> dict[tuple[str, Quantity], list[Number]]:
        """All numbers of a data set and quantity, in the order of the ledger."""
        found: dict[tuple[str, Quantity], list[Number]] = {}
        for number in self.ledger.numbers:
            found.setdefault((number.dataset, number.id.quantity), []).append(number)
        return found

    @cached_property
    def arm_of_file(self) -> dict[str, tuple[str, str]]:
        """Record to (data set, arm)."""
        return {
            file: (dataset.name, arm)
            for dataset in self.ledger.datasets
            for arm, files in dataset.files.items()
            for file in files
        }

    @cached_property
    def groups(self) -> list[str]:
        """The names that numbers go by: the data sets, then what belongs to none."""
        return list(dict.fromkeys([*self.datasets, *(n.dataset for n in self.ledger.numbers)]))


def make_index(ledger: Ledger) -> Index:
    """The ledger, indexed. Raises LabError where an id occurs twice in a data set."""
    numbers: dict[tuple[str, str], Number] = {}
    for number in ledger.numbers:
        key = (number.dataset, str(number.id))
        if key in numbers:
            raise LabError(f"ledger: {number.dataset} has two numbers {number.id}; rebuild it")
        numbers[key] = number
    return Index(ledger, numbers, {d.name: d for d in ledger.datasets})


def find(index: Index, dataset: str, number: NumberId) -> Number | None:
    """A number of the ledger, or None where the ledger does not speak of it."""
    return index.numbers.get((dataset, str(number)))


def value_at(index: Index, dataset: str, number: NumberId) -> Number | None:
    """A number that has a value; None where the ledger has none."""
    found = find(index, dataset, number)
    return found if found is not None and has_value(found) else None


def with_quantity(index: Index, dataset: str, quantity: Quantity) -> list[Number]:
    """The numbers of a data set and quantity that have a value."""
    return [n for n in index.by_quantity.get((dataset, quantity), []) if has_value(n)]


def everywhere(index: Index, quantity: Quantity) -> list[Number]:
    """The numbers of a quantity that have a value, of every data set and of none."""
    return [n for name in index.groups for n in with_quantity(index, name, quantity)]


def has_value(number: Number) -> bool:
    """Whether a number has a value or, as an extrapolation has, a bracket."""
    return number.value is not None or number.low is not None


def ratios(index: Index, dataset: str, role: Role) -> dict[int, Number]:
    """The measured speed-ups of the contrast with this role, by batch size."""
    roles = {name: c.role for name, c in index.datasets[dataset].contrasts.items()}
    found = {
        int(number.id.batch): number
        for number in with_quantity(index, dataset, RATIO)
        if roles.get(number.id.contrast) == role
    }
    return dict(sorted(found.items()))


def contrast_of_role(index: Index, dataset: str, role: Role) -> Contrast | None:
    """The contrast with this role; one that was measured before one that was not."""
    named = {n: c for n, c in index.datasets[dataset].contrasts.items() if c.role == role}
    measured = [n.id.contrast for n in with_quantity(index, dataset, RATIO)]
    return next((named[n] for n in measured if n in named), next(iter(named.values()), None))


def of_primary(
    index: Index, dataset: str, quantity: Quantity, **keys: str | int
) -> tuple[Number, Number] | None:
    """A quantity of both arms of the primary contrast, eager before graphs; None without both."""
    sides = contrast_of_role(index, dataset, "primary")
    if sides is None:
        return None
    eager, graphs = (
        value_at(index, dataset, quantity(arm=arm, **keys))
        for arm in (sides.denominator, sides.numerator)
    )
    return None if eager is None or graphs is None else (eager, graphs)


def having(index: Index, role: Role) -> list[Dataset]:
    """The data sets in which the contrast with this role was measured."""
    return [d for d in index.main if ratios(index, d.name, role)]


def short_device(dataset: Dataset) -> str:
    """The device as people call it: `H100` for NVIDIA H100 80GB HBM3."""
    if dataset.platform == "cpu":
        return "CPU"
    words = dataset.device.removeprefix("NVIDIA ").split()
    return _short(words[0].split("-")[0] if words else dataset.name)


def short_model(dataset: Dataset) -> str:
    """The model without its owner: `opt-125m`."""
    return _short(dataset.model.rsplit("/", 1)[-1] or dataset.model)


def short_title(index: Index, dataset: Dataset) -> str:
    """What tells a data set from the others: its devices, its model where there are several.

    Data sets that share them go by their titles.
    """
    kind = {"measured": "", "transcribed": ", published", "simulated": ", SIMULATED"}[dataset.kind]
    several = len({d.model for d in index.ledger.datasets}) > 1
    ranks = dataset.tensor_parallel_size
    kin = short_device(dataset), short_model(dataset), ranks
    alike = [
        d
        for d in index.ledger.datasets
        if (short_device(d), short_model(d), d.tensor_parallel_size) == kin
    ]
    if len(alike) > 1:
        return _short(dataset.title, 60) + (kind if dataset.kind == "simulated" else "")
    model = f", {short_model(dataset)}" if several else ""
    return f"{f'{ranks} x ' if ranks > 1 else ''}{short_device(dataset)}{model}{kind}"


def _short(text: str, most: int = 22) -> str:
    """One line without control characters, cut where it is long."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"
