"""A process that emits events, as a run does: emit_events.py ROOT FIRST COUNT [PAUSE], its configuration on stdin.

Its last line of output is JSON: the notices, the seconds that emitting and closing took, and what was imported.
"""

import json
import sys
import time
import uuid
from pathlib import Path

from bioreactor_lake.lineage.delivery.emitter import Emitter


def event(number: int) -> dict:
    return {
        "eventType": "COMPLETE",
        "eventTime": "2026-03-01T08:00:00Z",
        "producer": "https://example.org/bioreactor_lake",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {
            "runId": str(uuid.uuid4()),
            "facets": {
                "parent": {
                    "_producer": "https://example.org/bioreactor_lake",
                    "_schemaURL": "https://openlineage.io/spec/facets/1-2-0/ParentRunFacet.json",
                    "run": {"runId": str(uuid.uuid4())},
                    "job": {"namespace": "lake", "name": "marts"},
                },
                "tags": {
                    "_producer": "https://example.org/bioreactor_lake",
                    "_schemaURL": "https://openlineage.io/spec/facets/1-0-0/TagsRunFacet.json",
                    "tags": [{"key": "environment", "value": "local", "source": "KEDRO"}],
                },
            },
        },
        "job": {"namespace": "lake", "name": f"marts.{number}"},
        "inputs": [{"namespace": "file", "name": "/raw/B-0001.parquet"}],
        "outputs": [{"namespace": "duckdb:///lake.duckdb", "name": "curated.dim_batch", "outputFacets": {}}],
    }


def main() -> None:
    root, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    pause = float(sys.argv[4]) if len(sys.argv) > 4 else 0.0
    config = json.loads(sys.stdin.readline())
    before = set(sys.modules)
    emitter = Emitter(config, root)
    started = time.monotonic()
    for number in range(first, first + count):
        emitter.emit(event(number))
        print(number, flush=True)
        time.sleep(pause)
    emitting = time.monotonic() - started
    notices = emitter.close()
    closing = time.monotonic() - started - emitting
    assert emitter.close() == notices
    said = {
        "notices": notices,
        "emitting": emitting,
        "closing": closing,
        "modules": sorted({name.partition(".")[0] for name in set(sys.modules) - before}),
    }
    print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
