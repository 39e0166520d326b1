"""Where numbers come from: the runs behind each, their files, and the functions that made it."""

from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path

from markupsafe import Markup

from cudagraph_lab import REPOSITORY
from cudagraph_lab.ledger.build import Number
from cudagraph_lab.report.printing import (
    Page,
    anchor,
    chips,
    has_value,
    in_words,
    matching,
    n_of,
    repeats,
    title_of,
    value_of,
)
from cudagraph_lab.report.tables import Table

# Repeats of an arm beyond which its files are named by the first and the last of each
# unbroken row: a page with thousands of runs stays one that can be read.
FILES_NAMED = 10

# What computes each kind of number, by pattern of ids; the first that fits counts. Names, since
# to import all that computes would take a page longer than to be written.
FORMULAS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("throughput/*", ("observations.table.observe", "statistics.estimates.estimate_mean")),
    ("first_token/*", ("observations.table.observe", "statistics.estimates.estimate_mean")),
    ("first_call/*", ("observations.table.observe", "statistics.estimates.estimate_mean")),
    ("step/*", ("ledger.drafts.step_cell", "statistics.estimates.estimate_mean")),
    ("spread/*", ("statistics.estimates.variance_components",)),
    ("replay/*", ("observations.validity.decode_steps", "observations.validity.share_in_mode")),
    ("ratio/*", ("statistics.estimates.estimate_contrast",)),
    ("repeats_to_halve/*", ("statistics.estimates.more_repeats_to_halve",)),
    (
        "difference/*",
        ("ledger.drafts.comparison_numbers", "statistics.estimates.estimate_contrast"),
    ),
    ("shape/no_inversion/*", ("statistics.estimates.judge_no_inversion",)),
    ("shape/fade/*", ("statistics.estimates.judge_fade",)),
    ("shape/*", ("ledger.drafts.draft_numbers", "statistics.estimates.draw_locations")),
    ("attribution/interaction/*", ("statistics.estimates.estimate_contrast",)),
    ("attribution/*", ("models.launch.attribution", "statistics.estimates.draw_locations")),
    ("model/*", ("models.launch.predict", "models.launch.predict_eager_step_s")),
    ("saved_ms_per_step/*", ("ledger.drafts.step_cell", "statistics.estimates.draw_locations")),
    ("break_even/*", ("models.costs.break_even", "statistics.estimates.draw_locations")),
    ("deploy/*", ("models.costs.deploy_tax_min_per_day",)),
    ("capture/*_per_graph", ("models.costs.fit_capture_cost",)),
    ("capture/*_fixed", ("models.costs.fit_capture_cost",)),
    ("capture/*", ("observations.table.observe", "statistics.estimates.estimate_mean")),
    ("startup/*", ("observations.table.observe", "statistics.estimates.estimate_mean")),
    ("compile_cache/*", ("observations.table.observe", "statistics.estimates.estimate_mean")),
    ("kv/*_lost", ("models.costs.kv_tokens_lost",)),
    ("kv/*", ("observations.table.observe",)),
    ("profile/*", ("engine.profile_trace.summarise_decode_steps",)),
    ("launches/break_even_call", ("models.costs.launch_break_even_call",)),
    ("launches/*", ("engine.profile_trace.summarise_decode_steps", "ledger.drafts.draft_numbers")),
    ("ladder/*/mean_step_s", ("models.costs.mix_cost",)),
    ("ladder/*/saved_s", ("models.costs.fit_capture_cost",)),
    ("ladder/*", ("models.ladder.compare_ladders", "models.ladder.ladder_cost")),
    ("outputs/*", ("observations.outputs.compare_outputs",)),
    ("extrapolation/*", ("models.extrapolation.extrapolate", "ledger.outlook.answer")),
    ("backtest/*", ("models.extrapolation.backtest",)),
)


def formula_of(number: str) -> str | None:
    """The pattern in FORMULAS that an id falls under; None for an id that nothing computes."""
    return next((pattern for pattern, _ in FORMULAS if fnmatchcase(number, pattern)), None)


def sources(page: Page, number: Number) -> tuple[list[tuple[str, str]], list[str]]:
    """What a number was made from: its (data set, arm)s, and files that belong to no arm."""
    arms: dict[tuple[str, str], None] = {}
    others = []
    for file in number.origin.files:
        arm = page.arm_of_file.get(file)
        if arm is None:
            others.append(file)
        else:
            arms[arm] = None
    return list(arms), others


def all_numbers(page: Page, dataset: str) -> Table:
    """Every number of a data set: method, verdicts, and links to its runs and its formula."""
    form = page.form
    columns = (
        "id, leading to its formula",
        "value",
        "n",
        "method and remarks",
        "verdicts",
        "made from",
    )
    rows = []
    numbers = matching(page, dataset, "*", measured=False)
    for number in numbers:
        said = [number.method, *((number.note or "").split("; "))]
        remarks = [form.exempt(t, "said") for t in said if t and "repeats are few" not in t]
        rows.append(
            [
                form.target(anchor("number", number.dataset, number.id), _computed(page, number)),
                value_of(page, number, in_row=True),
                n_of(page, number, in_row=True) if number.n else form.escape("–"),
                Markup("; ").join(remarks),
                chips(page, number) or form.escape("–"),
                _made_from(page, number),
            ]
        )
    few = "Few repeats: their intervals rest on a t distribution with few degrees of freedom."
    notes = [
        form.escape(few),
        form.escape(" Without a verdict: nothing was predicted of it."),
    ]
    about = [(number.dataset, number.id) for number in numbers]
    return Table([form.escape(column) for column in columns], rows, notes, about=about)


def _made_from(page: Page, number: Number) -> Markup:
    form = page.form
    arms, others = sources(page, number)
    said = [
        form.link(anchor("runs", dataset, arm), form.code(arm))
        + (
            Markup()
            if dataset == number.dataset
            else Markup(" ({})").format(form.exempt(title_of(page, dataset), "said"))
        )
        for dataset, arm in arms
    ]
    said += [form.file(file, file) for file in others]
    return Markup(", ").join(said) if said else form.escape("–")


def _computed(page: Page, number: Number) -> Markup:
    """A number's id, leading to the formula that it came from, if it came from one."""
    form = page.form
    pattern = formula_of(number.id)
    if pattern is None or not (has_value(number) or number.origin.files):
        return form.code(number.id)
    return form.link(anchor("formula", pattern), form.code(number.id))


def formulas(page: Page) -> Table:
    """The kinds of numbers in this ledger, and the functions that compute them."""
    form = page.form
    counted = Counter(formula_of(number.id) for number in page.ledger.numbers)
    rows = [
        [
            form.target(anchor("formula", pattern), form.code(pattern)),
            in_words([_home(page, name) for name in names]),
        ]
        for pattern, names in FORMULAS
        if counted[pattern]
    ]
    return Table([form.escape("numbers"), form.escape("computed by")], rows, [])


def _home(page: Page, name: str) -> Markup:
    module, _, function = name.rpartition(".")
    file = f"workflow/cudagraph_lab/{module.replace('.', '/')}.py"
    return Markup("{} in {}").format(page.form.code(function), page.form.file(file, file))


def runs(page: Page, dataset: str) -> Table:
    """The arms of a data set: what they are, and the files that their runs left."""
    form = page.form
    facts = page.datasets[dataset]
    columns = ("arm", "purpose", "engine arguments", "resolved to", "repeats", "records and logs")
    rows = []
    for arm, is_ in facts.arms.items():
        rows.append(
            [
                form.target(anchor("runs", dataset, arm), form.code(arm)),
                form.escape(is_.purpose),
                form.code(str(is_.engine_args)) if is_.engine_args else form.escape("defaults"),
                form.exempt(is_.resolved, "said") if is_.resolved else form.escape("–"),
                repeats(page, dataset, arm),
                named_files(page, facts.files.get(arm, []) + facts.logs.get(arm, [])),
            ]
        )
    notes = [
        form.escape("Resolved to: what vLLM made of the arguments, compilation / graphs. "),
        form.escape("Repeats: those that have numbers."),
    ]
    return Table([form.escape(column) for column in columns], rows, notes)


def named_files(page: Page, files: Sequence[str]) -> Markup:
    """Files by folder, each by its name; of many, the first and the last of each unbroken row."""
    form = page.form
    alike: dict[tuple[Path, str], list[Path]] = {}
    for path in (Path(shown(file)) for file in files):
        alike.setdefault((path.parent, path.suffix), []).append(path)
    folders: dict[Path, list[Markup]] = {}
    for (folder, _), members in alike.items():
        folders.setdefault(folder, []).extend(
            Markup(" to ").join(form.file(str(path), path.name) for path in span)
            for span in _spans(sorted(members, key=_repeat), len(members) > FILES_NAMED)
        )
    said = [
        Markup("{} {}").format(form.code(f"{folder}/"), Markup(", ").join(names))
        for folder, names in folders.items()
    ]
    return Markup("; ").join(said) if said else form.escape("–")


def _repeat(path: Path) -> int:
    return int("".join(filter(str.isdigit, path.stem)) or 0)


def _spans(paths: Sequence[Path], join: bool) -> list[list[Path]]:
    """Each path alone or, if they are to be joined, the ends of each row of repeats."""
    spans = [[paths[0]]]
    for before, after in pairwise(paths):
        if join and _repeat(after) == _repeat(before) + 1:
            spans[-1] = [spans[-1][0], after]
        else:
            spans.append([after])
    return spans


def shown(file: str) -> str:
    """A file as seen from the project, without the machine."""
    path = Path(file)
    if not path.is_absolute():
        return file
    if path.is_relative_to(REPOSITORY):
        return str(path.relative_to(REPOSITORY))
    return str(Path(*path.parts[-5:]))  # results/<data set>/runs/<arm>/<file>
