"""The pipeline that a node is at home in."""

from __future__ import annotations

from kedro.framework.project import pipelines
from kedro.pipeline.node import Node


def home_of(node: Node, asked: str) -> str:
    """The pipeline that a node belongs to however it is run: the first registered one that is not all of them.

    Args:
        node: The node.
        asked: What was asked for, where no registered one has it.
    """
    for name, pipeline in pipelines.items():
        if name != "__default__" and node in pipeline.nodes:
            return str(name)
    return asked
