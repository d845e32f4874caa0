"""What the OpenLineage client is configured with is what events go to, whatever kind of transport it is."""

import json
import os
import subprocess
import sys

import pytest
from openlineage.client.serde import Serde

from bioreactor_lake.lineage.delivery.client_events import to_client_event
from bioreactor_lake.lineage.delivery.configuration import transports_configured
from bioreactor_lake.lineage.delivery.outbox import Outbox


def test_the_client_filters_and_tags_as_it_is_configured(emit, server_of_events, root, environment) -> None:
    file = root / "openlineage.yml"
    file.write_text(
        f"transport: {{type: http, url: '{server_of_events.url}'}}\n"
        "filters: [{type: exact, match: marts.1}]\n"
        "tags: {run: {team: upstream}}\n"
    )
    assert emit({}, count=3)["notices"] == []
    assert server_of_events.numbers == [0, 2]
    tags = server_of_events.received[0]["run"]["facets"]["tags"]["tags"]
    assert {"key": "team", "value": "upstream", "source": "USER"} in tags
    assert {"key": "environment", "value": "local", "source": "KEDRO"} in tags


def test_a_transform_reaches_every_server_behind_it(emit, new_server) -> None:
    alive, dead = new_server(), new_server()
    dead.behaviour = "500"
    transformer = (
        "openlineage.client.transport.transform.transformers.job_namespace_replace_transformer."
        "JobNamespaceReplaceTransformer"
    )
    config = {
        "transport": {
            "type": "transform",
            "transformer_class": transformer,
            "transformer_properties": {"new_job_namespace": "elsewhere"},
            "transport": {
                "type": "composite",
                "transports": [{"type": "http", "url": dead.url}, {"type": "http", "url": alive.url}],
            },
        }
    }
    (notice,) = emit(config, count=2)["notices"]
    assert dead.url in notice
    assert alive.numbers == [0, 1]
    assert alive.received[0]["job"]["namespace"] == "elsewhere"
    assert alive.received[0]["run"]["facets"]["parent"]["job"]["namespace"] == "elsewhere"


def test_servers_that_stand_in_for_each_other_are_one_target(emit, new_server) -> None:
    first, second = new_server(), new_server()
    first.behaviour = "500"
    config = {
        "transport": {
            "type": "composite",
            "continue_on_success": False,
            "transports": [{"type": "http", "url": first.url}, {"type": "http", "url": second.url}],
        }
    }
    assert emit(config, count=2)["notices"] == []
    assert second.numbers == [0, 1]
    first.behaviour = "accept"
    assert emit(config, first=2, count=2)["notices"] == []
    assert (first.numbers, second.numbers) == ([2, 3], [0, 1])


def test_a_transport_that_only_closing_confirms_is_closed_before_an_event_counts(emit, root, environment) -> None:
    (root / "lazy.py").write_text(
        "import json, pathlib\n"
        "from openlineage.client.serde import Serde\n"
        "from openlineage.client.transport import Transport\n"
        "class Lazy(Transport):\n"
        "    kind = 'lazy'\n"
        "    def __init__(self, config): self.waiting = []\n"
        "    def emit(self, event): print('noise'); self.waiting.append(event)\n"
        "    def close(self, timeout=-1):\n"
        "        if pathlib.Path('stuck').exists(): return False\n"
        "        with open('taken', 'a') as file:\n"
        "            file.writelines(event.job.name + '\\n' for event in self.waiting)\n"
        "        return True\n"
    )
    config = {"transport": {"type": "lazy.Lazy"}}
    path = f"{environment['PYTHONPATH']}{os.pathsep}{root}"
    (root / "stuck").touch()
    (notice,) = emit(config, count=2, PYTHONPATH=path)["notices"]
    assert "2 lineage events are not sent yet to lazy.Lazy (no answer in time)" in notice
    (root / "stuck").unlink()
    assert emit(config, first=2, count=1, PYTHONPATH=path)["notices"] == []
    assert (root / "taken").read_text().split() == ["marts.0", "marts.1", "marts.2"]


@pytest.mark.parametrize(
    ("transport", "reason"),
    [
        ({"url": "http://127.0.0.1:9"}, "no transport type is configured"),
        ({"type": "http"}, "`url` key not passed to HttpConfig"),
        ({"type": "no.such.Transport"}, "Failed to import no.such.Transport"),
    ],
)
def test_a_transport_that_cannot_be_made_is_said(transport, reason, emit, root) -> None:
    (notice,) = emit({"transport": transport}, count=2)["notices"]
    assert notice.startswith("2 lineage events are not sent yet")
    assert reason in notice
    outbox = Outbox(root / "data" / "lineage")
    assert outbox.size() == 2
    outbox.close()


def test_an_outbox_that_cannot_be_kept_is_said_and_fails_nothing(emit, journal) -> None:
    journal.parent.mkdir(parents=True)
    (journal.parent / "outbox.sqlite").write_text("this is no database, however long it is " * 40)
    said = emit({"transport": {"type": "http", "url": "http://127.0.0.1:9"}}, count=3)
    (notice,) = said["notices"]
    assert "3 lineage events are not sent, since" in notice
    assert "file is not a database" in notice
    assert len(journal.read_text().splitlines()) == 3


def test_the_file_tells_where_events_go(tmp_path) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    (home / ".openlineage").mkdir(parents=True)
    project.mkdir()
    base = {"HOME": str(home)}

    def sent(config: dict | None = None, **environ: str) -> bool:
        return transports_configured(config or {}, base | environ, project)

    assert not sent()
    assert not sent({"transport": {}})
    assert not sent(OPENLINEAGE_CONFIG="missing.yml", OPENLINEAGE_NAMESPACE="x", OPENLINEAGE__TAGS__RUN="{}")
    assert sent({"transport": {"type": "console"}})
    assert sent(OPENLINEAGE_URL="http://marquez:5000")
    assert sent(OPENLINEAGE__TRANSPORT__TYPE="http")
    assert sent(OPENLINEAGE__TRANSPORT='{"type": "console"}')
    assert not sent({"transport": {"type": "console"}}, OPENLINEAGE_DISABLED="true", OPENLINEAGE_URL="http://x")
    (project / "filters.yml").write_text("filters: []\n")
    assert not sent(OPENLINEAGE_CONFIG="filters.yml")
    for place in (home / ".openlineage" / "openlineage.yml", project / "openlineage.yml", project / "named.yml"):
        place.write_text("transport: {type: console}\n")
        assert sent(OPENLINEAGE_CONFIG="named.yml")
        place.write_text("transport: {type: [\n")
        assert sent(OPENLINEAGE_CONFIG="named.yml")
        place.unlink()
    assert not sent()


def test_the_process_that_sends_imports_nothing_heavy(environment) -> None:
    names = "bioreactor_lake.lineage.delivery.sender, bioreactor_lake.lineage.delivery.targets"
    code = f"import sys, {names}; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    modules = {name.partition(".")[0] for name in ended.stdout.split()}
    assert "openlineage" in modules
    assert not {"ibis", "duckdb", "kedro", "pandas", "pyarrow", "sqlglot"} & modules


def test_the_variables_of_the_client_are_enough(emit, server_of_events) -> None:
    said = emit(
        {}, count=2, OPENLINEAGE_URL=server_of_events.url, OPENLINEAGE_API_KEY="key-5", OPENLINEAGE_ENDPOINT="lineage"
    )
    assert said["notices"] == []
    assert server_of_events.numbers == [0, 1]
    assert server_of_events.headers[0]["Authorization"] == "Bearer key-5"


def test_a_stored_event_is_for_the_client_what_it_was(journal, emit) -> None:
    emit({}, count=1)
    event = json.loads(journal.read_text())
    rebuilt = Serde.to_dict(to_client_event(event))
    # The client's classes know one version of each schema.
    for each in (rebuilt, event):
        each.pop("schemaURL")
        for facet in each["run"]["facets"].values():
            facet.pop("_schemaURL")
    for dataset in (*event["inputs"], *event["outputs"]):
        dataset.setdefault("facets", {})
    event["inputs"][0].setdefault("inputFacets", {})
    event["job"].setdefault("facets", {})
    assert rebuilt == event
