"""The shapes of a decoder, by config/models.yaml or a config.json, and what follows from them."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from cudagraph_lab.errors import LabError
from cudagraph_lab.forms import Form, first_mistake

KV_BYTES = 2  # of an element of a 16-bit KV cache

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Source = Annotated[str, Field(min_length=1)]

# Families whose feed-forward has two matrices; the others with a known activation have three.
_UNGATED = frozenset(
    {"opt", "gpt2", "gpt_neox", "gptj", "gpt_bigcode", "bloom", "falcon", "mpt", "phi",
     "starcoder2", "codegen", "stablelm_epoch", "nemotron"}
)  # fmt: skip


class Kernels(Form):
    """Kernels of a decode step from a batch size on, as a profile counted them."""

    from_batch: Count
    eager_per_layer: Positive
    compiled_per_layer: Positive
    outside_layers: Positive
    source: Source


class Model(Form):
    """One decoder of config/models.yaml; `ffn` is the width of one expert where there are any.

    Counts leave out norms and biases, which are below half a per cent of every model here.
    """

    hub: str | None = None  # the name on the model hub, which a data set bears
    layers: Count
    hidden: Count
    heads: Count
    kv_heads: Count
    head_dim: Count
    ffn: Count
    gated_ffn: bool
    vocab: Count
    tied_embeddings: bool
    learned_positions: int = 0
    experts: Count = 1
    experts_per_token: Count = 1
    published_parameters: Positive | None = None
    kernels: list[Kernels] | None = None
    source: Source

    def kernels_at(self, batch: int) -> Kernels | None:
        """The kernels that were counted at the largest batch size up to this; None for none."""
        known = [one for one in self.kernels or () if one.from_batch <= batch]
        return max(known, key=lambda one: one.from_batch, default=None)

    @property
    def attention_parameters(self) -> int:
        """Query, key, value and output projections of one layer."""
        return self.hidden * self.head_dim * 2 * (self.heads + self.kv_heads)

    @property
    def expert_parameters(self) -> int:
        """One expert's (or the dense) feed-forward matrices."""
        return (3 if self.gated_ffn else 2) * self.hidden * self.ffn

    @property
    def router_parameters(self) -> int:
        """The expert choice of one layer; none in a dense model."""
        return self.hidden * self.experts if self.experts > 1 else 0

    @property
    def parameters(self) -> int:
        """All weights: layers, embeddings, positions, output head."""
        layer = (
            self.attention_parameters
            + self.experts * self.expert_parameters
            + self.router_parameters
        )
        embeddings = self.vocab * (1 if self.tied_embeddings else 2) + self.learned_positions
        return self.layers * layer + self.hidden * embeddings

    def parameters_used(self, experts: float) -> float:
        """Weights that a step reads or multiplies with when `experts` per layer take part."""
        layer = (
            self.attention_parameters + experts * self.expert_parameters + self.router_parameters
        )
        return self.layers * layer + self.hidden * self.vocab

    def experts_read(self, batch: int) -> float:
        """Experts per layer that `batch` tokens are expected to touch, routed evenly."""
        untouched: float = (1 - self.experts_per_token / self.experts) ** batch
        return self.experts * (1 - untouched)

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes that one token takes in a 16-bit KV cache, over all devices."""
        return 2 * self.layers * self.kv_heads * self.head_dim * KV_BYTES


def text_part(config: Any) -> tuple[dict[str, Any], list[str]]:
    """The part of a config.json that is about text, and what was left out to find it.

    Raises TypeError where it is no object.
    """
    notes = []
    for part in ("thinker_config", "text_config", "llm_config", "language_config"):
        if isinstance(config, dict) and isinstance(config.get(part), dict):
            config = config[part]
            notes.append(
                f"only the text part ({part}) is counted; encoders and their host work are left out"
            )
    if not isinstance(config, dict):
        raise TypeError("no object")
    return config, notes


def decoder_of(config: Mapping[str, Any], where: str) -> Model:
    """The decoder of the text part of a Hugging Face `config.json`.

    Raises LabError that begins with `where` for a key that is missing or cannot be.
    """

    def number(*names: str, default: int | None = None) -> int:
        known = next((config[name] for name in names if isinstance(config.get(name), int)), default)
        if known is None:
            raise LabError(f"{where}: {names[0]}: missing; give a decoder's config.json")
        return int(known)

    heads = number("num_attention_heads", "n_head")
    hidden = number("hidden_size", "n_embd")
    experts = number("num_local_experts", "num_experts", "n_routed_experts", default=1)
    dense_ffn = number("intermediate_size", "ffn_dim", "n_inner", default=4 * hidden)
    family = config.get("model_type")
    try:
        return Model(
            layers=number("num_hidden_layers", "n_layer"),
            hidden=hidden,
            heads=heads,
            kv_heads=number("num_key_value_heads", default=heads),
            head_dim=number("head_dim", default=hidden // max(heads, 1)),
            ffn=number("moe_intermediate_size", default=dense_ffn) if experts > 1 else dense_ffn,
            gated_ffn=family not in _UNGATED,
            vocab=number("vocab_size"),
            tied_embeddings=bool(config.get("tie_word_embeddings", False)),
            learned_positions=number("max_position_embeddings", default=0)
            if family == "opt"
            else 0,
            experts=experts,
            experts_per_token=number("num_experts_per_tok") if experts > 1 else 1,
            source=where,
        )
    except ValidationError as error:
        raise LabError(f"{where}: {first_mistake(error, 'all of it')}") from None
