"""Start-up by model size: a row for each size whose arms booted alone, and why a cell is empty."""

from tests.report_builders import make_dataset, make_ledger, make_number, told

MODELS = {"small": "facebook/opt-125m", "large": "meta-llama/Llama-3.1-70B"}


def ledger(*names, kv_missing=None):
    datasets, numbers = [], []
    for name in names:
        datasets.append(make_dataset(name, model=MODELS[name], series="sizes"))
        boot = {"eager": 8.0, "graphs": 20.0 if name == "small" else 35.0}
        numbers.append(make_number("step_ratio/bundle/b1", name, value=2.0, low=1.9, high=2.1))
        numbers += [
            make_number(f"startup/boot/{arm}", name, value=value, unit="s", n=1)
            for arm, value in boot.items()
        ]
        numbers += [
            make_number("startup/compile_cold/graphs", name, value=22.5, unit="s", n=1),
            make_number("capture/seconds", name, value=3.75, unit="s", n=1),
            make_number("kv/tokens_lost", name, unit="tokens", n=0, missing=kv_missing)
            if kv_missing
            else make_number("kv/tokens_lost", name, value=4672, unit="tokens"),
        ]
    return make_ledger(datasets, numbers)


def text_of(made):
    return told(made)[1].replace("\N{NO-BREAK SPACE}", " ")


def test_each_size_has_a_row_with_its_boots_capture_and_lost_tokens():
    text = text_of(ledger("small", "large"))
    assert "opt-125m, 1 L4 | 8 s | 20 s | 22.5 s cold | 3.75 s | – | 4,672 tokens |" in text
    assert "Llama-3.1-70B, 1 L4 | 8 s | 35 s | 22.5 s cold | 3.75 s | – | 4,672 tokens |" in text


def test_an_empty_cell_has_its_reason_below_the_table():
    text = text_of(ledger("small", "large", kv_missing="the size was given"))
    assert "A dash under “KV cache lost”: the size was given." in text


def test_one_size_alone_makes_no_table():
    assert "Start-up by model size" not in text_of(ledger("small"))
