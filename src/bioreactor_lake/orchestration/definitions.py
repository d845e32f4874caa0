"""What Dagster loads: `dagster dev --module-name bioreactor_lake.orchestration.definitions`."""

from pathlib import Path

from kedro.utils import find_kedro_project

from bioreactor_lake.orchestration.assets import build_definitions

defs = build_definitions(Path(find_kedro_project(Path.cwd()) or Path(__file__).parents[3]))
