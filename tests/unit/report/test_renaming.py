"""What a user calls a contrast is not read: only its role says what it is."""

from tests.report_builders import CONTRASTS, rendered, shipped_ledger

# Between them they have every role that is measured.
DATASETS = (
    "h100-opt-125m",
    "h100-factorial",
    "h100-speculation-k3",
    "h100-upgrade-opt-125m",
)


def test_renaming_every_contrast_changes_nothing_on_the_page_but_the_names():
    names = {name: f"zq{k}zq" for k, name in enumerate(sorted(CONTRASTS))}
    before = rendered(shipped_ledger({name: name for name in names}, *DATASETS))
    after = rendered(shipped_ledger(names, *DATASETS))
    assert all(any(name in page for name in names.values()) for page in after)
    for name, other in names.items():
        after = tuple(page.replace(other, name) for page in after)
    assert after == before
