"""What one checkout pushed, a new clone pulls: both tools have nothing to do there, and notice what is edited."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

BUCKET = "results"
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.fixture
def server() -> Iterator[str]:
    """Address of an S3 server with one bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    try:
        client(address).create_bucket(Bucket=BUCKET)
        yield address
    finally:
        server.stop()


def client(address: str) -> Any:
    names = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=address, **names)


def check_that_a_clone_takes_over(project: Any, **env: str) -> None:
    """Push from the project, clone, pull, take over; then edit."""
    project.commit()
    project.run("dvc", "push", **env)
    clone = type(project)(project.root.with_name("clone"))
    project.run("git", "clone", "--quiet", str(project.root), str(clone.root))
    clone.run("dvc", "pull", **env)
    assert "audiopg sync" in clone.run("snakemake", code=2)
    clone.run("audiopg", "sync")
    assert (clone.pending(), clone.stale()) == (set(), set())
    assert "Nothing to be done" in clone.run("snakemake")
    assert "Data and pipelines are up to date" in clone.run("dvc", "repro")
    assert clone.calls() == []
    assert clone.run("git", "status", "--short") == ""
    clone.edit("params.yaml", "  mask_ratio: 0.75", "  mask_ratio: 0.5")
    assert "pretrain" in clone.stale()
    pending = clone.pending()
    assert "results/pretrain/encoder.safetensors" in pending
    assert not any("/scratch/" in output for output in pending)


@pytest.mark.slow
def test_a_clone_takes_over_what_a_folder_holds(project: Any) -> None:
    project.run("dvc", "remote", "add", "--default", "store", str(project.root.with_name("store")))
    check_that_a_clone_takes_over(project)


@pytest.mark.slow
def test_a_clone_takes_over_what_an_s3_server_holds(project: Any, server: str) -> None:
    project.run("dvc", "remote", "add", "--default", "store", f"s3://{BUCKET}/audiopg")
    project.run("dvc", "remote", "modify", "store", "endpointurl", server)
    check_that_a_clone_takes_over(project, **KEYS)
    stored = client(server).list_objects_v2(Bucket=BUCKET)["Contents"]
    assert stored
    assert all(item["Key"].startswith("audiopg/files/md5/") for item in stored)


@pytest.mark.slow
def test_a_pull_of_what_nobody_pushed_is_refused_by_sync(project: Any) -> None:
    project.run("dvc", "remote", "add", "--default", "store", str(project.root.with_name("store")))
    project.commit()
    clone = type(project)(project.root.with_name("clone"))
    project.run("git", "clone", "--quiet", str(project.root), str(clone.root))
    clone.run("dvc", "pull", code=1)
    assert "`dvc pull` fetches results that are not on this machine" in clone.run("audiopg", "sync", code=1)
