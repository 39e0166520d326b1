"""Print one line per run of a data set: what was resolved, captured, replayed, measured."""

import sys
from pathlib import Path

from cudagraph_lab.records import read_record

for path in sorted(Path(sys.argv[1]).glob("runs/*/rep*.json")):
    record = read_record(path)
    if record.failure:
        print(f"{record.arm} rep{record.repeat} FAILED {record.failure.kind}: {record.failure.reason}")
        continue
    resolved, startup = record.resolved, record.startup
    assert resolved is not None and startup is not None
    capture = startup.capture
    boot = {span.name: round(span.seconds, 1) for span in startup.spans}
    print(
        f"{record.arm} rep{record.repeat}: {resolved.compile_mode}/{resolved.cudagraph_mode}"
        f" {resolved.attention_backend} compile cache {startup.compile_cache_was}; spans {boot};"
        f" log passes {[(p.routine, p.shapes) for p in startup.log.passes] if startup.log else None};"
        f" capture {capture and (len(capture.graphs), round(capture.seconds, 2), capture.pool_bytes)}"
    )
    for cell in record.cells:
        timed = cell.timed() or cell.calls
        steps = {}
        for step in timed[-1].steps or []:
            key = f"{step.mode}:{step.unpadded_tokens}->{step.padded_tokens}"
            steps[key] = steps.get(key, 0) + step.count
        rates = " ".join(f"{call.throughput:.0f}" for call in cell.calls)
        print(f"   b{cell.batch}: {rates} tok/s; last call's steps {steps}")
    for profile in record.profile or []:
        print(f"   profile {profile}")
