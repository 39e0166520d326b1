"""The section on an upgrade: there where two versions were measured, and nowhere else."""

from tests.report_builders import (
    BUNDLE,
    EAGER,
    make_arm,
    make_dataset,
    make_judged,
    make_ledger,
    make_number,
    ratio,
    stray_digits,
    told,
    words_of,
)

ARMS = {
    "eager": EAGER | {"vllm": "0.22.1"},
    "graphs": make_arm(vllm="0.22.1"),
    "graphs-new": make_arm(vllm="0.26.0"),
}
UPGRADE = {"up": {"numerator": "graphs-new", "denominator": "graphs", "role": "upgrade"}}
NO_CHANGE = {"low": 0.97, "high": 1.03, "value": 1.0}


def outputs(batch, alike):
    differing = {arm: "at token 3 of the first request" for arm in ARMS if arm not in alike[0]}
    return {
        "batch": batch,
        "arms": list(ARMS),
        "differing": differing,
        "alike": alike,
        "distinct_tokens": 9,
    }


def ledger(contrasts=UPGRADE, others=(), **fields):
    dataset = make_dataset(
        **fields,
        arms=ARMS,
        contrasts=BUNDLE | contrasts,
        batch_sizes=[1, 8],
        versions=["0.22.1", "0.26.0"],
        outputs=[
            outputs(1, [["eager"], ["graphs", "graphs-new"]]),
            outputs(8, [["eager"], ["graphs"], ["graphs-new"]]),
        ],
    )
    numbers = [
        ratio(1, 2.0, 1.9, 2.1),
        ratio(1, 1.2, 1.1, 1.3, contrast="up",
              predictions=[make_judged("refuted", **NO_CHANGE)]),
        ratio(8, 1.0, 0.99, 1.01, contrast="up",
              predictions=[make_judged("confirmed", **NO_CHANGE)]),
        make_number("upgrade/first_token/up/b1", value=0.9, low=0.8, high=1.0),
        make_number("upgrade/startup/boot/up", value=1.5, low=1.4, high=1.6),
        make_number("upgrade/kv_tokens/up", missing="the size of the KV cache was given"),
    ]  # fmt: skip
    if not others:
        return make_ledger([dataset], numbers, measured="made")
    return make_ledger([*others, dataset], numbers, measured=others[0].name)


def test_an_upgrade_is_told_with_both_versions_its_intervals_and_verdicts():
    page, markdown = told(ledger())
    text = words_of(page).replace("\N{NO-BREAK SPACE}", " ")
    assert "Did the upgrade change it?" in text
    assert "graphs-new on 0.26.0 over graphs on 0.22.1" in text
    assert "1.20× (1.10 to 1.30)" in text
    assert "0.90× (0.80 to 1.00) at batch 1" in text
    assert "graphs-new on 0.26.0 against the older: boot 1.50× (1.40 to 1.60)." in text
    assert "differ at batch 8, as random weights of two versions may" in text
    assert "the newer version over the older one" in text
    assert "0.22.1, 0.26.0" in text
    assert "Did the upgrade change it?" in markdown
    assert stray_digits(ledger(), page) == []


def test_without_two_versions_there_is_no_such_section():
    page, markdown = told(ledger(contrasts={}))
    assert "Did the upgrade" not in words_of(page)
    assert "Did the upgrade" not in markdown


def test_a_series_of_upgrades_that_was_measured_elsewhere_is_told_too():
    others = [make_dataset(name="another", arms=ARMS, contrasts=BUNDLE)]
    text = words_of(told(ledger(others=others, series="upgrade"))[0])
    assert "Did the upgrade change it?" in text
    assert "graphs-new on 0.26.0 over graphs on 0.22.1" in text


def test_a_ledger_of_one_series_alone_is_a_page_too():
    facts = ledger(series="upgrade").datasets[0]
    alone = make_ledger([facts], [ratio(1, 1.2, 1.1, 1.3, contrast="up")])
    assert "graphs-new on 0.26.0" in words_of(told(alone)[0])
