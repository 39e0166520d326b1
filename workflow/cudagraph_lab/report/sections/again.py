"""How to get the page for another device and model, and what it was made from."""

from collections import Counter
from collections.abc import Mapping

from cudagraph_lab.figures.catalogue import Drawing
from cudagraph_lab.ledger.catalogue import TIMED_SHARE
from cudagraph_lab.ledger.index import Index, value_at
from cudagraph_lab.observations.dataset import Dataset
from cudagraph_lab.report.markup import Code, Exempt, Line, Strong, join, say
from cudagraph_lab.report.numbers import fact, noted
from cudagraph_lab.report.phrases import title
from cudagraph_lab.report.view import Block, Bullets, Commands, Fold, Paragraph, Section

COMMANDS = (
    "make lab",
    "make lab ARGS='--configfile config/full.yaml --config dataset=full'",
    "echo '{dataset: mine, model: {name: meta-llama/Llama-3.1-8B}}' > mine.yaml",
    "make lab ARGS='--configfile mine.yaml'",
    "make report",
)


def again(index: Index, drawings: dict[str, Drawing]) -> Section:
    """Commands, versions, hashes and files."""
    blocks: list[Block] = [
        Paragraph(
            (
                "Run these in the project’s folder, on a machine with your GPU. The first line "
                "measures eager, compiled and graphs, and writes this page with your numbers "
                "first. The second measures start-up, profiles and an arm against itself as well. "
                "The next two measure a model of your choice. Each has a data set of its own, by "
                "the name after “dataset”. The last writes the page again from the records "
                "and measures nothing. Every repeat of an arm is one fresh process, and the "
                "shipped ones took about a minute each on a GPU. Finished runs are kept, so that "
                "every command may be stopped and called again.",
            )
        ),
        Commands(COMMANDS),
    ]
    took = [
        say(
            "{name}: {arms} arms within {minutes} minutes{share}",
            name=title(index, d),
            arms=fact(d.name, "len:arms", len(d.arms)),
            minutes=fact(d.name, "minutes", round(d.minutes)),
            share=_timed_share(index, d),
        )
        for d in index.ledger.datasets
        if d.minutes is not None
    ]
    if took:
        blocks += [
            Paragraph(("How long the measurements took, start-ups included:",)),
            Bullets(took[:4]),
        ]
    files = [
        say(
            "Every number with its predictions: {a} and, as a table, {b}.",
            a=Code("results/ledger.json", file=True),
            b=Code("results/ledger.csv", file=True),
        ),
        say(
            "What each quantity is: {f}. The predictions: {p}; the hashes with which they were "
            "registered before a measurement: {r} in the folder of each data set.",
            f=Code("workflow/cudagraph_lab/ledger/catalogue.py", file=True),
            p=Code("config/predictions.yaml", file=True),
            r=Code("predictions.registered.json"),
        ),
    ]
    blocks.append(Bullets(files))
    if versions := _versions(index):
        summary = ("Versions, hashes and machines of each data set",)
        blocks.append(Fold(summary, [Bullets(versions)]))
    return Section("again", "Repeat", "How do I get this for my GPU?", blocks)


def _timed_share(index: Index, dataset: Dataset) -> Line:
    share = value_at(index, dataset.name, TIMED_SHARE())
    if share is None:
        return ()
    return say(", {x} of the processes’ time inside timed calls", x=noted(index, share))


def _versions(index: Index) -> list[Line]:
    """What most data sets share, in one line; then a line for each with what it has otherwise."""
    told = {d.name: _facts(d) for d in index.ledger.datasets}
    counted = {
        words: Counter(facts[words] for facts in told.values()).most_common(1)[0]
        for words in next(iter(told.values()), {})
    }
    shared = {words: text for words, (text, n) in counted.items() if n > len(told) / 2}
    lines = [
        say(
            "{name}: {parts}.",
            name=Strong((title(index, dataset),)),
            parts=_listed({w: t for w, t in told[dataset.name].items() if shared.get(w) != t}),
        )
        for dataset in index.ledger.datasets
    ]
    if not shared:
        return lines
    return [say("Where nothing else is said: {parts}.", parts=_listed(shared)), *lines]


def _listed(facts: Mapping[str, str]) -> Line:
    parts = [say("{words} {text}", words=words, text=Exempt(text)) for words, text in facts.items()]
    return join(parts, "; ")


def _facts(dataset: Dataset) -> dict[str, str]:
    known = {
        "data set": dataset.name,
        "source": dataset.source,
        "device": dataset.device,
        "driver": dataset.driver,
        "processor": dataset.cpu,
        "vLLM": ", ".join(dataset.versions) or dataset.vllm,
        "torch": dataset.torch,
        "lock": dataset.lock,
        "commit": ", ".join(dataset.commit),
        "host, hashed": ", ".join(dataset.hosts),
        "model": dataset.model,
        "weights": dataset.weights,
    }
    return {words: text or "not recorded" for words, text in known.items()}
