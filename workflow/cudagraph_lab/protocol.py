"""What the measuring process and the harness in vLLM's environment agree on.

The standard library only: the harness imports this module inside vLLM's environment.

The measuring process starts one harness per arm with a job file. It sends one line of JSON
per command and gets lines of JSON back:

    {"do": "call", "batch": 8, "role": "timed", "round": 3}   -> {"event": "call", ...}
    {"do": "profile", "batch": 8}                             -> {"event": "profile", ...}
    {"do": "conditions", "at": "during"}                      -> {"event": "conditions", ...}
    {"do": "quit"}                                            -> the process ends

Before the first command the harness says `import`, `boot` and then `ready`. Instead of any
answer it may say `failed`, with the reason, and ends; the log then closes with its own trace.
"""

import json
from typing import IO, Any, Literal

PARENT = "CUDAGRAPH_LAB_PARENT"  # environment variable: process id of who started this process
OWN_TRACEBACK = "The harness ended with this exception:"  # heads the last lines of a log
FOREIGN_PROCESS_EXIT = 3  # the device is in use by a process that is not of this measurement

Role = Literal["first", "warmup", "timed"]
Stage = Literal["import", "boot", "generate"]  # how far a harness has come
FailureKind = Literal["out_of_memory", "boot", "generate", "timeout", "killed", "not_supported"]


def send(stream: IO[str], message: dict[str, Any]) -> None:
    """Write one message as one line."""
    stream.write(json.dumps(message, separators=(",", ":")) + "\n")
    stream.flush()
