"""One's own model and device for an extrapolation, and the published pairs it was checked on."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cudagraph_lab.errors import LabError
from cudagraph_lab.models.anchors import Anchors
from cudagraph_lab.models.architecture import Device, find
from cudagraph_lab.models.forecast import Question
from cudagraph_lab.models.step import Assumed, Belief
from cudagraph_lab.shapes import Model, decoder_of, text_part

_NOT_MODELLED = {
    "kv_lora_rank": "latent attention",
    "n_shared_experts": "shared experts",
    "shared_expert_intermediate_size": "shared experts",
    "ssm_cfg": "state space layers",
    "mamba_d_state": "state space layers",
    "linear_num_value_heads": "linear attention",
    "encoder_layers": "an encoder",
}


def read_model(name: str, models: Mapping[str, Model], what: str) -> tuple[Model, list[str]]:
    """A model by its name in the table, or by the path of a config.json; and what was assumed.

    `what` it is stands in the error for a name that is not known.
    """
    if name not in models and ("/" in name or name.endswith(".json")):
        return read_model_config(Path(name))
    return find(models, name, what), []


def read_model_config(path: Path) -> tuple[Model, list[str]]:
    """A decoder from its Hugging Face `config.json`, and what was assumed in reading it.

    Raises LabError naming the file and the key for what is missing, and for an architecture that
    the roofline does not model.
    """
    where = f"--model {path}"
    try:
        config, notes = text_part(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise LabError(f"{where}: not a model's config.json ({error})") from None
    _refuse_unmodelled(path, config)
    model = decoder_of(config, where)
    return model, notes + _assumed(config, model)


def _refuse_unmodelled(path: Path, config: Mapping[str, Any]) -> None:
    for key, what in _NOT_MODELLED.items():
        if config.get(key):
            raise LabError(f"--model {path}: {key}: {what} are not modelled; no answer is given")
    if set(config.get("layer_types") or []) - {"full_attention", "sliding_attention"}:
        raise LabError(f"--model {path}: layer_types: only attention layers are modelled")


def _assumed(config: Mapping[str, Any], model: Model) -> list[str]:
    """What reading the configuration took for granted."""
    notes = []
    activation = str(config.get("hidden_act", config.get("activation_function", "")))
    if model.gated_ffn and "silu" not in activation and "swi" not in activation:
        family = config.get("model_type") or "this model"
        notes.append(f"the feed-forward of {family} is taken as gated")
    if model.experts > 1:
        notes.append("a mixture of experts is counted by the experts that its tokens reach")
    if config.get("quantization_config") is not None:
        notes.append("config.json names a quantization; weights are counted by dtype or "
                     "--weight-bits")  # fmt: skip
    return notes


def own_device(
    bandwidth_tb_s: float | None,
    peak_tflops: float | None,
    base: Device | None,
) -> Device:
    """A device of one's own figures, or `base` with those given in the place of its own.

    Bandwidth in 1e12 bytes a second, peak in dense 16-bit TFLOP/s. Raises LabError for figures
    that are missing or not above 0.
    """
    if base is None and (bandwidth_tb_s is None or peak_tflops is None):
        raise LabError("device: name one with --device, or give --bandwidth-tb-s and --peak-tflops")
    for option, value in (("--bandwidth-tb-s", bandwidth_tb_s), ("--peak-tflops", peak_tflops)):
        if value is not None and not 0 < value < float("inf"):
            raise LabError(f"{option}: must be above 0, got {value}")
    if base is None:
        base = Device(
            name="your device",
            memory_bandwidth_gb_s=1,
            peak_16bit_dense_tflops=1,
            memory_gib=None,
            l2_mib=None,
            bf16=True,
            source="the command line",
        )
    changed: dict[str, float] = {}
    if bandwidth_tb_s is not None:
        changed["memory_bandwidth_gb_s"] = bandwidth_tb_s * 1000
    if peak_tflops is not None:
        changed["peak_16bit_dense_tflops"] = peak_tflops
    return base.model_copy(update=changed)


def with_own(
    assumed: Assumed, launch_us: tuple[float, float] | None, kernels: tuple[float, float] | None
) -> Assumed:
    """The assumptions with one's own bounds in the place of theirs."""

    def belief(bounds: tuple[float, float]) -> Belief:
        low, high = bounds
        return Belief(median=(low * high) ** 0.5, low=low, high=high, source="the command line")

    host, counts = assumed.unknown_host, assumed.kernels
    if launch_us is not None:
        host = host.model_copy(update={"launch_us": belief(launch_us)})
    if kernels is not None:
        counts = counts.model_copy(update={"eager_per_layer": belief(kernels)})
    return assumed.model_copy(update={"unknown_host": host, "kernels": counts})


def unchecked(
    question: Mapping[str, Any], model: Model, models: Mapping[str, Model], anchors: Anchors
) -> list[str]:
    """What of a question lies outside of the published pairs that the model was checked on.

    `question` has device, model, batch, tp, dtype and context, and weight_bits or None.
    """
    pairs = anchors.pairs.values()
    said = []
    for key in ("device", "model", "tp", "dtype"):
        known = sorted({getattr(pair, key) for pair in pairs})
        if question[key] not in known:
            said.append(f"{key} {question[key]} (checked: {', '.join(map(str, known))})")
    together = sorted({f"{pair.model} on {pair.device}" for pair in pairs})
    if not said and f"{question['model']} on {question['device']}" not in together:
        said.append(f"{question['model']} on {question['device']} (checked: {', '.join(together)})")
    for key, value, values in (
        ("batch", question["batch"], [pair.batch for pair in pairs]),
        ("context", question["context"], [pair.context for pair in pairs]),
        ("layers", model.layers, [models[pair.model].layers for pair in pairs]),
    ):
        if not min(values) <= value <= max(values):
            said.append(f"{key} {value} (checked: {min(values)} to {max(values)})")
    if question.get("weight_bits") is not None:
        said.append(f"weights of {question['weight_bits']:g} bits (checked: by dtype only)")
    return said


def rests_on(question: Question, host: str | None) -> list[str]:
    """What an answer takes for granted, in words; `host` names the data set of a measured host."""
    model, device = question.model, question.device
    said = [
        f"host: that of {host}, on another day"
        if host
        else "host: nobody measured it; from a workstation's to a slow virtual machine's "
        "(unknown_host of config/step_model.yaml). Measure yours and name it with --host",
        "kernels a step: counted in a profile of this model"
        if model.kernels
        else "kernels a step: assumed, no profile of this model is at hand",
        "bandwidth, matrix rate and what does not hide: device of config/step_model.yaml, unless "
        "the host's data set tells",
        f"every request holds {question.context} tokens in a 16-bit KV cache",
    ]
    if question.tp > 1:
        said.append(
            "every device has a host process of its own; tensor parallelism divides bytes and "
            "products, not launches, and adds two all-reduces a layer at an assumed cost"
        )
    if question.weight_bits is not None:
        said.append(
            f"weights take {question.weight_bits:g} bits each; products run at the 16-bit rate"
        )
    elif question.dtype == "fp8":
        said.append("fp8 halves the weights; products run at the 16-bit rate")
    if model.experts > 1:
        said.append("tokens are routed evenly and independently over the experts")
    if device.memory_gib is None:
        said.append("weights and cache fit: the device's memory is not known")
    return said
