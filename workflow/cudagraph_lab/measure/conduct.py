"""Who calls when: the boots, the first calls, the rounds, and what the harnesses answer."""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from cudagraph_lab.design.job import ArmJob, Job
from cudagraph_lab.design.schedule import draw_rounds
from cudagraph_lab.errors import LabError, say
from cudagraph_lab.measure.processors import keep_on, shared_pair
from cudagraph_lab.measure.supervisor import Harness, ask, await_answer
from cudagraph_lab.protocol import Stage

# Environment variable: when the machine goes back, in seconds since the epoch.
UNTIL = "CUDAGRAPH_LAB_UNTIL"


@dataclass
class Taken:
    """What came of one arm, as plain data for its record."""

    stage: Stage = "import"  # how far its harness has come
    ready: dict[str, Any] | None = None  # the answer after boot
    calls: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    outputs: dict[int, dict[str, Any]] = field(default_factory=dict)
    conditions: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[str, Any] | None = None  # the answer `failed`
    alive: bool = True

    def rates(self, batch: int) -> list[float]:
        """Tokens per second of the timed calls so far at one batch size."""
        calls = self.calls.get(batch, [])
        return [call["tokens"] / call["seconds"] for call in calls if call["role"] == "timed"]

    def cells(self, batch_sizes: list[int]) -> list[dict[str, Any]]:
        """The cells of the record, in the order of the design."""
        return [
            {"batch": batch, "calls": self.calls[batch], **self.outputs[batch]}
            for batch in batch_sizes
            if batch in self.calls
        ]


@dataclass
class Conductor:
    """Lets the harnesses of one job do all that it asks for, and keeps what they answer.

    `start` starts the harness of an arm, and adds it to `harnesses`. `check` is called while it
    waits; `refuse_fault` is called with each arm that ended before its engine was ready. Both
    raise LabError where the job is to end.
    """

    job: Job
    harnesses: Mapping[str, Harness]
    start: Callable[[ArmJob], None]
    check: Callable[[], None]
    refuse_fault: Callable[[ArmJob, Taken], None]

    def __post_init__(self) -> None:
        """Nothing is taken yet, and the time runs."""
        self.taken = {member.arm: Taken() for member in self.job.arms}
        self.deadline = time.monotonic() + self.job.timeout_s

    def conduct(self) -> dict[str, Taken]:
        """From the boots to the last reading; what came of each arm."""
        self.await_boots()
        self.warm_up()
        request = self.job.arms[0].request
        if request["purpose"] == "timed":
            if request["processors"] == "shared":
                running = [self.harnesses[member.arm].process.pid for member in self.alive()]
                keep_on(running, shared_pair(os.sched_getaffinity(0)))
            self.take_turns()
        self.read_conditions("after")
        if request["purpose"] == "profile" or request["profile_after"]:
            self.profile()
        return self.taken

    def alive(self) -> list[ArmJob]:
        """The members of the job whose harness still answers."""
        return [member for member in self.job.arms if self.taken[member.arm].alive]

    def await_event(self, arm: str, event: str) -> dict[str, Any] | None:
        """The next answer of this event; conditions on the way are kept. None: the arm is gone."""
        taken, harness = self.taken[arm], self.harnesses[arm]
        while True:
            answer = await_answer(harness, self.deadline, self.check)
            if answer is None or answer["event"] == "failed":
                taken.alive, taken.failed = False, answer
                if taken.stage == "generate":
                    self._say_that_others_go_on(arm)
                return None
            if answer["event"] == "conditions":
                taken.conditions += answer["readings"]
            elif answer["event"] in ("import", "boot"):
                taken.stage = answer["event"]
                first = arm == self.job.arms[0].arm
                if self.job.in_sequence or not self.job.in_turn or first:
                    doing = "starting" if answer["event"] == "import" else "booting vLLM"
                    which = f", {arm}" if self.job.in_sequence else ""
                    say(f"{self.job.name}: {doing}{which}")
            elif answer["event"] == "ready":
                taken.stage = "generate"
            if answer["event"] == event:
                return answer

    def await_boots(self) -> None:
        """Start the harnesses and wait until every engine is ready.

        All boot at the same time, or in the order of the repeat, one after the other. An arm whose
        engine did not get to work for a reason that is not a result ends the job here, before
        anything is measured.
        """
        if self.job.in_sequence:
            order = self.job.arms[0].request["order"]
            members = sorted(self.job.arms, key=lambda member: order.index(member.arm))
        else:
            members = self.job.arms
            for member in members:
                self.start(member)
        for member in members:
            if self.job.in_sequence:
                self.start(member)
            taken = self.taken[member.arm]
            taken.ready = self.await_event(member.arm, "ready")
            if not taken.alive:
                self.refuse_fault(member, taken)
                self._say_that_others_go_on(member.arm)

    def _say_that_others_go_on(self, arm: str) -> None:
        if self.job.in_turn:
            say(f"{self.job.name}: {arm} ended early; the other arms go on")

    def call(self, arm: str, batch: int, role: str, round_: int | None) -> dict[str, Any] | None:
        """Ask one arm for one call and keep what came of it."""
        ask(self.harnesses[arm], {"do": "call", "batch": batch, "role": role, "round": round_})
        answer = self.await_event(arm, "call")
        if answer is None:
            return None
        taken = self.taken[arm]
        taken.calls.setdefault(batch, []).append(answer["call"])
        taken.outputs[batch] = {key: answer[key] for key in ("output_sha256", "output_token_ids")}
        return dict(answer["call"])

    def read_conditions(self, at: str) -> None:
        """Let every arm read the state of the device and the machine."""
        for member in self.alive():
            ask(self.harnesses[member.arm], {"do": "conditions", "at": at})
            self.await_event(member.arm, "conditions")

    def warm_up(self) -> None:
        """The first call of every cell, then its warm-ups."""
        warmups = max(member.request["warmups"] for member in self.job.arms)
        for role in ["first"] + ["warmup"] * warmups:
            for batch in self.job.arms[0].request["workload"]["batch_sizes"]:
                for member in self.alive():
                    made = self.call(member.arm, batch, role, None)
                    if made and not self.job.in_turn:
                        say(f"{self.job.name}: batch {batch}: {role} call, {_rate(made)}")

    def profile(self) -> None:
        """Run a few steps of every batch size under the profiler, arm by arm.

        What was timed before stays: an arm that ends here lacks its profile and nothing else, and
        where the machine goes back soon there is none.
        """
        for member in self.alive():
            timed = member.request["purpose"] == "timed"
            for batch in member.request["workload"]["batch_sizes"]:
                if timed and (seconds_left(math.inf, os.environ) or 0) <= 0:
                    say(f"{self.job.name}: no time is left for profiles; the timed calls count")
                    return
                arm = f"{member.arm}, " if self.job.in_turn else ""
                say(f"{self.job.name}: {arm}batch {batch}: profiling, not timed")
                ask(self.harnesses[member.arm], {"do": "profile", "batch": batch})
                if self.await_event(member.arm, "profile") is None:
                    if timed:
                        self._keep_timed(member.arm)
                    break

    def _keep_timed(self, arm: str) -> None:
        failed = self.taken[arm].failed
        reason = failed["reason"] if failed else "it ended without a word"
        say(f"{self.job.name}: {arm} could not be profiled ({reason}); its timed calls count")
        self.taken[arm].alive, self.taken[arm].failed = True, None

    def take_turns(self) -> None:
        """The timed calls, round by round, until the planned number of rounds or seconds."""
        request = self.job.arms[0].request
        planned, seconds = request["iterations"], seconds_left(request["seconds"], os.environ)
        say_ratio = self._watch()
        begun = time.monotonic()
        for number, cells in enumerate(islice(self._rounds(), planned), start=1):
            round_begun = time.monotonic()
            made = {}
            for arm, batch in cells:
                if self.taken[arm].alive and (call := self.call(arm, batch, "timed", number)):
                    made[arm, batch] = call
            if not self.alive():
                return
            self.read_conditions("during")
            now = time.monotonic()
            spread = _spread(made, self.job.in_turn)
            say(f"{self.job.name}: round {number} of {planned}, {say_ratio()}{spread}")
            if seconds is not None and now - begun + (now - round_begun) > seconds:
                return

    def _watch(self) -> Callable[[], str]:
        """What tells the ratio so far of the two arms that are watched; empty where it cannot."""
        members = {member.arm: member for member in self.job.arms}
        arms = self.job.watched
        if arms is None or not self.job.in_turn or not set(arms) <= set(members):
            return lambda: ""
        # NumPy is for those who watch a ratio.
        from cudagraph_lab.measure.so_far import earlier_rates, ratio_so_far

        batch = members[arms[0]].request["workload"]["batch_sizes"][0]
        earlier = [earlier_rates(members[arm].output, self.job.dataset, batch) for arm in arms]

        def ratio() -> str:
            if not all(self.taken[arm].alive for arm in arms):
                return ""
            rates = [
                known | {self.job.repeat: self.taken[arm].rates(batch)}
                for arm, known in zip(arms, earlier, strict=True)
            ]
            return f"{ratio_so_far(arms, *rates)} at batch {batch}, "

        return ratio

    def _rounds(self) -> Iterator[list[tuple[str, int]]]:
        request = self.job.arms[0].request
        arms = [member.arm for member in self.job.arms]
        return draw_rounds(
            arms, request["workload"]["batch_sizes"], request["seed"], self.job.repeat
        )


def seconds_left(planned_s: float | None, environment: Mapping[str, str]) -> float | None:
    """How long rounds may begin: as planned, or shorter where the machine goes back earlier.

    A repeat with fewer rounds is worth more than one that is cut off. Only a repeat that is
    bounded in seconds may have fewer rounds than planned. Raises LabError where the variable
    CUDAGRAPH_LAB_UNTIL is no time in seconds since the epoch.
    """
    until = environment.get(UNTIL)
    if planned_s is None or until is None:
        return planned_s
    try:
        return min(planned_s, float(until) - time.time())
    except ValueError:
        raise LabError(
            f"{UNTIL}: {until!r} is no time in seconds since the epoch; unset it, or see `date +%s`"
        ) from None


def _rate(call: Mapping[str, Any]) -> str:
    return f"{call['tokens'] / call['seconds']:.1f} tok/s"


def _spread(made: Mapping[tuple[str, int], dict[str, Any]], in_turn: bool) -> str:
    """What a round brought, in a few words."""
    if in_turn:
        return f"{sum(call['seconds'] for call in made.values()):.1f} s of timed calls"
    return ", ".join(f"batch {batch}: {_rate(call)}" for (_, batch), call in sorted(made.items()))
