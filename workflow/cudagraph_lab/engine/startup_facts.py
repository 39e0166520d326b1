"""What one engine said as it started, and how its statements become facts."""

from collections.abc import Callable
from typing import Any

from cudagraph_lab.engine.capture_bars import Routine, routine_of
from cudagraph_lab.engine.log_engines import Boot, Statement
from cudagraph_lab.engine.log_wordings import BACKEND_NAMES, release
from cudagraph_lab.forms import Form


class CapturePass(Form):
    """One pass of graph capture: its routine and how many shapes it captures."""

    routine: Routine | None
    shapes: int | None


class StartupFacts(Form):
    """What one engine said as it started; null is what its log does not say.

    `compile_seconds` is the engine's own total, else the sum over its models. `passes` are in
    order of appearance, without those of a draft model. Empty `passes` beside a true
    `capture_complete` mean that the log lacks the progress bars, which vLLM writes to stderr.
    """

    vllm_version: str | None
    attention_backend: str | None
    passes: tuple[CapturePass, ...]
    capture_seconds: float | None
    capture_gib: float | None
    estimated_gib: float | None
    compile_seconds: float | None
    init_engine_seconds: float | None
    kv_cache_tokens: int | None
    model_load_gib: float | None
    model_load_seconds: float | None
    capture_complete: bool


class Source(Form):
    """The line of the log, from 1, that a fact was read from, and what stands there."""

    line: int
    text: str


class EngineLog(Form):
    """One engine of a log: its name where it has one, its facts, and where each was read.

    `sources` maps a fact to its lines; a sum has several.
    """

    engine: str | None
    facts: StartupFacts
    sources: dict[str, list[Source]]


# A fact by name, and the statements that it was read from.
Found = dict[str, tuple[Any, list[Statement]]]


def facts_of(boot: Boot) -> EngineLog:
    """What one boot said of itself, and where each fact was read."""
    # What a V1 engine captures before it has sized its KV cache is memory profiling.
    counts = not boot.must_size or any(
        event in boot.stated for event in ("available", "sized", "came_up")
    )
    finished = None
    if counts:
        finished = _most(boot.stated.get("finished", []), "capture_seconds", "capture_gib")
    found = {**_engine_facts(boot), **_from(finished, "capture_seconds", "capture_gib")}
    if finished is not None:
        found["capture_complete"] = (True, [finished])
    passes = _capture_passes(boot, finished is not None) if counts else []
    return EngineLog(
        engine=boot.name,
        facts=StartupFacts.model_validate(
            dict.fromkeys(StartupFacts.model_fields)
            | {"capture_complete": False, "passes": tuple(one for one, _ in passes)}
            | {name: value for name, (value, _) in found.items()}
        ),
        sources={
            name: [Source(line=one.line, text=one.text) for one in statements]
            for name, (_, statements) in found.items()
        }
        | {f"passes.{n}": [source] for n, (_, source) in enumerate(passes)},
    )


def _engine_facts(boot: Boot) -> Found:
    """All that a boot stated besides its capture."""
    stated = boot.stated
    sized = [one for one in stated.get("sized", []) if "kv_cache_tokens" in one.facts]
    found = {
        **_from(_earliest(stated.get("began", []), "vllm_version"), "vllm_version"),
        **_from(_earliest(stated.get("backend", []), "attention_backend"), "attention_backend"),
        **_from(
            _most(stated.get("model", []), "model_load_seconds", "model_load_gib"),
            *("model_load_gib", "model_load_seconds"),
        ),
        **_from(
            min(_own(sized), key=lambda one: one.number("kv_cache_tokens"), default=None),
            "kv_cache_tokens",
        ),
        **_from(_most(stated.get("came_up", []), "init_engine_seconds"), "init_engine_seconds"),
    }
    for event in ("pool", "estimated"):
        first = {one.process: one for one in reversed(_own(stated.get(event, [])))}
        found |= _from(_most(list(first.values()), "estimated_gib"), "estimated_gib")
    if compiled := _compiled(boot):
        name = "compilation" if "compilation" in compiled[0].facts else "compile_seconds"
        seconds = round(sum(one.number(name) for one in compiled), 6)
        found["compile_seconds"] = (seconds, compiled)
    if "attention_backend" in found:
        name, statements = found["attention_backend"]
        found["attention_backend"] = (BACKEND_NAMES.get(name, name), statements)
    return found


def _capture_passes(boot: Boot, complete: bool) -> list[tuple[CapturePass, Source]]:
    """The passes of a capture, each with the line that it was read from."""
    passes = []
    for seen in boot.passes:
        routine = routine_of(seen.label)
        known = None if routine is None else boot.profiled.get(routine)
        one = CapturePass(routine=routine, shapes=seen.shapes or known)
        passes.append((one, Source(line=seen.line, text=seen.text)))
    if passes or not complete or not boot.profiled:
        return passes
    # No bars, but the engine said what it would capture and that it did.
    last = boot.stated["profiled"][-1]
    return [
        (CapturePass(routine=name, shapes=shapes), Source(line=last.line, text=last.text))
        for name, shapes in boot.profiled.items()
    ]


def _from(statement: Statement | None, *names: str) -> Found:
    """Those of the named facts that a statement holds."""
    if statement is None:
        return {}
    return {
        name: (statement.facts[name].replace(",", ""), [statement])
        for name in names
        if name in statement.facts
    }


def _own(statements: list[Statement]) -> list[Statement]:
    """The engine's own statements where there are any, else those of its workers."""
    return [one for one in statements if one.process is None] or statements


def _most(statements: list[Statement], *names: str) -> Statement | None:
    """The statement whose facts are largest, compared in this order."""
    key: Callable[[Statement], list[float]] = lambda one: [one.number(name) for name in names]  # noqa: E731
    return max(_own(statements), key=key, default=None)


def _earliest(statements: list[Statement], name: str) -> Statement | None:
    """The first statement of a fact, of several workers that of the first by name."""
    stating = [one for one in statements if name in one.facts]
    return min(_own(stating), key=lambda one: one.process or "", default=None)


def _compiled(boot: Boot) -> list[Statement]:
    """The statements whose sum is the compile time; none where it cannot be told.

    Since 0.17 every model (language model, encoder, draft) states its own total; before,
    a later total holds the earlier ones.
    """
    whole = _most(boot.stated.get("came_up", []), "compilation")
    if whole is not None and "compilation" in whole.facts:
        return [whole]
    by_process: dict[str | None, list[Statement]] = {}
    for one in _own(boot.stated.get("compiled", [])):
        by_process.setdefault(one.process, []).append(one)
    if not by_process:
        return []
    began = _earliest(boot.stated.get("began", []), "vllm_version")
    try:
        version = release(began.facts["vllm_version"]) if began else None
    except ValueError:
        version = None
    sums = []
    for stated in by_process.values():
        if len(stated) > 1 and version is None and any("takes" in one.text for one in stated):
            return []
        adds = version is None or version >= (0, 17)
        sums.append(stated if adds else [max(stated, key=lambda s: s.number("compile_seconds"))])
    return max(sums, key=lambda stated: sum(one.number("compile_seconds") for one in stated))
