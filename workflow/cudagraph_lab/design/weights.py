"""Which weights a data set is measured with: decided once, so that repeats never mix."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

from cudagraph_lab import REPOSITORY
from cudagraph_lab.errors import LabError

HUB_TIMEOUT_S = 5.0


def architecture_directory(name: str, architecture: str | None) -> Path:
    """Directory with the model's `config.json`, for dummy weights of the same shapes.

    `architecture` is the configured directory. Raises LabError where none is shipped or
    configured.
    """
    if architecture is not None:
        directory = Path(architecture)
    else:
        directory = REPOSITORY / "resources" / "models" / name.replace("/", "--")
    if not (directory / "config.json").is_file():
        raise LabError(
            f"config: model.weights: dummy needs {directory}/config.json and it is not there; "
            "set model.architecture to a directory that holds the model's config.json"
        )
    return directory.absolute()


def hub_answers(name: str) -> str | None:
    """None where the model hub answers for this model, else why it does not."""
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    url = f"{endpoint}/{name}/resolve/main/config.json"
    try:
        request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - the hub's own scheme
        with urllib.request.urlopen(request, timeout=HUB_TIMEOUT_S):  # noqa: S310
            return None
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        return " ".join(str(getattr(error, "reason", error)).split())


def choose_weights(
    name: str,
    wanted: str,
    architecture: str | None,
    python: Callable[[], Path],
    drafts: Sequence[str] = (),
) -> dict[str, Any]:
    """Decide on the weights of the model `name` and fetch them where they come from the hub.

    `wanted` is auto, hub or dummy; `architecture` a directory with the model's config.json;
    `python` gives the Python of vLLM's environment, where one is needed for fetching; `drafts`
    are models that draft for it, whose weights come from the same place.
    Returns `weights` (hub or dummy), `path`, `revision` and `reason`, and `drafts` from the hub
    with path and revision by name. Raises LabError where the hub is asked for and does not
    answer.
    """
    refused = None if wanted == "dummy" else hub_answers(name)
    if wanted == "hub" and refused is not None:
        raise LabError(
            f"config: model.weights: hub, but it does not answer for {name} ({refused}); "
            "mend the connection or set weights to dummy"
        )
    if wanted != "dummy" and refused is None:
        own = _fetch(name, python())
        fetched = {draft: _fetch(draft, python()) for draft in drafts}
        return {"weights": "hub", **own, "reason": "published weights", "drafts": fetched}
    reason = "as configured" if wanted == "dummy" else f"the hub does not answer ({refused})"
    if wanted == "auto":
        print(
            f"NOTE: measuring {name} with dummy weights: {reason}. "
            "Shapes and work are the same, the text it writes is not.",
            file=sys.stderr,
            flush=True,
        )
    path = architecture_directory(name, architecture)
    return {"weights": "dummy", "path": str(path), "revision": None, "reason": reason}


def _fetch(name: str, python: Path) -> dict[str, str]:
    """Path and revision of a model from the hub."""
    script = REPOSITORY / "workflow" / "harness" / "fetch_model.py"
    done = subprocess.run([str(python), str(script), name], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise LabError(
            f"config: model.name: fetching {name} from the hub failed; its message stands above"
        )
    path, revision = done.stdout.strip().splitlines()[-1].split("\t")
    return {"path": path, "revision": revision}
