"""The Dockerfiles and the Kubernetes manifests: clean, valid, and saying what they have to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.container.image import PROJECT

KUBERNETES = PROJECT / "deploy" / "kubernetes"
VERSION = "1.35"  # later ones only add
SCRIPTS = sorted((PROJECT / "deploy").rglob("*.sh"))


def find_program(*names: str) -> str | None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return next(filter(None, (shutil.which(name, path=path) for name in names)), None)


def read(name: str) -> Any:
    return yaml.safe_load((KUBERNETES / name).read_text())


@pytest.mark.skipif(find_program("hadolint") is None, reason="hadolint has no wheel for this platform")
@pytest.mark.parametrize("path", ["Dockerfile", "deploy/compose/superset/Dockerfile"])
def test_hadolint_finds_nothing(path: str) -> None:
    hadolint = find_program("hadolint") or ""
    done = subprocess.run([hadolint, PROJECT / path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_base_is_pinned() -> None:
    bases = re.findall(r"^ARG BASE=(\S+)$|^FROM (\S+)", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    assert bases[0][0].rpartition(":")[2].startswith("3.11.")
    assert {name for _, name in bases[1:]} == {"${BASE}", "build", "runtime", "lake"}


@pytest.mark.parametrize("name", ["account", "data", "landing", "nightly", "deadline"])
def test_the_manifests_are_valid(name: str) -> None:
    kubernetes_validate.validate(read(f"base/{name}.yaml"), VERSION, strict=True)


def test_the_watch_is_valid() -> None:
    kubernetes_validate.validate(read("watch/watch.yaml"), VERSION, strict=True)


def test_a_mistake_would_be_found() -> None:
    wrong = read("base/nightly.yaml")
    wrong["spec"]["concurencyPolicy"] = "Forbid"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_the_nightly_run_is_retried_after_1_and_4_only() -> None:
    spec = read("base/nightly.yaml")["spec"]
    job = spec["jobTemplate"]["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("0 2 * * *", "Etc/UTC", "Forbid")
    assert spec["startingDeadlineSeconds"] < job["activeDeadlineSeconds"]
    assert job["backoffLimit"] == 3
    assert job["podFailurePolicy"]["rules"] == [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "pipeline", "operator": "NotIn", "values": [1, 4]}},
    ]


@pytest.mark.parametrize("name", ["base/nightly.yaml", "base/deadline.yaml", "watch/watch.yaml"])
def test_pods_may_do_no_more_than_they_must(name: str) -> None:
    spec = read(name)["spec"]
    pod = (spec.get("jobTemplate", {}).get("spec") or spec)["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not pod["automountServiceAccountToken"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]) == {"requests", "limits"}
    # Secrets are files: no variable holds one, nor is made of one.
    assert all("valueFrom" not in variable and "envFrom" not in container for variable in container["env"])


@pytest.mark.parametrize("name", ["base/nightly.yaml", "watch/watch.yaml"])
def test_runs_find_the_landing_zone_where_the_image_says_it_is(name: str) -> None:
    spec = read(name)["spec"]
    pod = (spec.get("jobTemplate", {}).get("spec") or spec)["template"]["spec"]
    (mount,) = [one for one in pod["containers"][0]["volumeMounts"] if one["name"] == "landing"]
    assert not mount.get("readOnly")  # the ledger is beside the originals
    assert f"BIOREACTOR_LAKE_LANDING={mount['mountPath']} " in (PROJECT / "Dockerfile").read_text()
    (volume,) = [one for one in pod["volumes"] if one["name"] == "landing"]
    assert volume["persistentVolumeClaim"]["claimName"] == read("base/landing.yaml")["metadata"]["name"]


@pytest.mark.skipif(find_program("kustomize", "kubectl") is None, reason="there is no kustomize and no kubectl")
@pytest.mark.parametrize(("name", "kinds"), [("base", 6), ("s3", 6), ("watch", 7)])
def test_kustomize_makes_valid_manifests(name: str, kinds: int) -> None:
    kustomize = find_program("kustomize")
    command = [kustomize, "build"] if kustomize else [find_program("kubectl") or "", "kustomize"]
    made = subprocess.run([*command, KUBERNETES / name], capture_output=True, text=True, check=True).stdout
    documents = list(yaml.safe_load_all(made))
    assert len(documents) == kinds
    for document in documents:
        kubernetes_validate.validate(document, VERSION, strict=True)
    assert "image: bioreactor_lake\n" not in made
    assert ("s3://raw/bioreactor" in made) is (name == "s3")
    assert ("s3://raw/landing" in made) is (name == "s3")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.relative_to(PROJECT)))
def test_scripts_can_be_parsed(script: Path) -> None:
    shell = script.read_text().splitlines()[0].removeprefix("#!")
    subprocess.run([shell, "-n", script], check=True)
