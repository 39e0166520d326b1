"""Which engine of a log a line is of: engines that begin, go on beside others, or give way."""

import re
from dataclasses import dataclass, field

from cudagraph_lab.engine.capture_bars import Pass, Routine
from cudagraph_lab.engine.log_lines import Speaker
from cudagraph_lab.engine.log_wordings import Event


@dataclass(frozen=True)
class Statement:
    """What one message states."""

    process: str | None  # None: the engine's own
    facts: dict[str, str]
    line: int
    text: str

    def number(self, name: str) -> float:
        """The value of a fact; below every value where it is not stated."""
        value = self.facts.get(name)
        return float("-inf") if value is None else float(value.replace(",", ""))


@dataclass
class Boot:
    """What one engine has said so far."""

    place: str | None
    engine: str | None
    pid: str | None
    began_at: int
    spoke_at: int
    must_size: bool = False  # a V1 engine whose beginning is in the log
    replaced: bool = False
    stated: dict[Event, list[Statement]] = field(default_factory=dict)
    heard: set[tuple[str | None, str, str]] = field(default_factory=set)
    profiled: dict[Routine, int] = field(default_factory=dict)
    passes: list[Pass] = field(default_factory=list)

    @property
    def name(self) -> str | None:
        """How the log calls this engine."""
        return " ".join(filter(None, (self.place, self.engine))) or None


def live_boots(boots: list[Boot]) -> list[Boot]:
    """The boots in whose place no other has begun."""

    def gives_way(old: Boot, new: Boot) -> bool:
        if old.replaced:
            return True
        places = {old.place, new.place}
        apart = len(places) == 2 and None not in places and "pid=" not in f"{places}"
        names = [re.sub(r"\d+$", "", one.engine or "") for one in (old, new)]
        beside = old.engine != new.engine and names[0] == names[1]
        return not apart and not beside and old.spoke_at < new.began_at

    return [
        boot
        for n, boot in enumerate(boots)
        if not boot.replaced and not any(gives_way(boot, later) for later in boots[n + 1 :])
    ]


def boot_of(boots: list[Boot], speaker: Speaker) -> tuple[Boot | None, bool]:
    """The boot that a line is of, and whether a line of nobody known begins one."""
    live = live_boots(boots)
    fitting = [
        boot
        for boot in live
        if not any(
            one is not None and other is not None and one != other
            for one, other in (
                (boot.place, speaker.place),
                (boot.engine, speaker.engine),
                (boot.pid, speaker.engine_pid),
            )
        )
    ]
    if len(fitting) > 1 and speaker.engine is not None:
        named = [boot for boot in fitting if boot.engine == speaker.engine]
        # One container's or replica's engine is not another's of the same name.
        fitting = named if len(named) == 1 else fitting
    if not fitting and len(live) == 1 and live[0].engine == speaker.engine:
        # An engine whose beginning is missing, where another's is there, is that other.
        fitting = live if "began" in live[0].stated and live[0].place == speaker.place else []
    if len(fitting) == 1:
        return fitting[0], False
    return None, not fitting


def new_boot(boots: list[Boot], speaker: Speaker, now: int) -> Boot:
    """Add the boot of an engine that begins now."""
    boots.append(Boot(speaker.place, speaker.engine, speaker.engine_pid, now, now))
    return boots[-1]
