"""Traces as text, as a Mermaid chart and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from bioreactor_lake.cli.console import open_console
from bioreactor_lake.lineage.origins import ROWS, ColumnOrigin, Subtype

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from bioreactor_lake.datasets.tracing import RawFile
    from bioreactor_lake.lineage.graph import Step


def print_trace(steps: Sequence[Step], form: str, files: Sequence[RawFile], *, downstream: bool) -> None:
    """Print traces.

    Args:
        steps: One for a column, or one for each column of a table.
        form: `text`, `mermaid` or `json`.
        files: The raw files that hold the batch that was asked for.
        downstream: Whether the steps lead to dependents and not to inputs.
    """
    if form == "json":
        found = [_as_dict(step, files, "dependents" if downstream else "inputs") for step in steps]
        click.echo(json.dumps(found[0] if len(found) == 1 else found, indent=2, ensure_ascii=False))
    elif form == "mermaid":
        click.echo("\n".join(_chart(steps, files, downstream)))
    else:
        _print_trees(steps, files, downstream)


def _as_dict(step: Step, files: Sequence[RawFile], leads: str) -> dict[str, Any]:
    found: dict[str, Any] = {"table": step.table, "column": step.column}
    if step.subtype is not None:
        found |= {"type": step.subtype.kind, "subtype": step.subtype, "description": step.description}
    if step.expression:
        found["expression"] = step.expression
    if step.decided_by:
        found["decided_by"] = [{**asdict(one), "type": one.kind} for one in step.decided_by]
    if held := [file for file in files if file.table == step.table]:
        found["files"] = [{name: value for name, value in asdict(file).items() if name != "table"} for file in held]
    if step.again:
        return {**found, "again": True}
    return {**found, leads: [_as_dict(one, files, leads) for one in step.steps]}


def _chart(steps: Sequence[Step], files: Sequence[RawFile], downstream: bool) -> list[str]:
    ids: dict[str, str] = {}
    lines: dict[str, None] = {}

    def node(label: str) -> str:
        if label not in ids:
            ids[label] = f"n{len(ids)}"
            text = label.replace('"', "#quot;")
            lines[f'    {ids[label]}["{text}"]'] = None
        return ids[label]

    def draw(source: str, target: str, part: Subtype | None) -> None:
        arrow = "-->" if part is None or part.is_direct else "-.->"
        lines[f"    {node(source)} {arrow}|{'file' if part is None else _spell(part)}| {node(target)}"] = None

    def visit(step: Step) -> None:
        node(_say_column(step.table, step.column))
        for file in (file for file in files if file.table == step.table):
            draw(file.path, _say_column(step.table, step.column), None)
        here = _say_column(step.table, step.column)
        for origin in step.decided_by:
            draw(_say_column(origin.table, origin.column), here, origin.subtype)
        for one in step.steps:
            there = _say_column(one.table, one.column)
            draw(*((here, there) if downstream else (there, here)), one.subtype)
            visit(one)

    for step in steps:
        visit(step)
    return ["flowchart LR", *lines]


def _print_trees(steps: Sequence[Step], files: Sequence[RawFile], downstream: bool) -> None:
    from rich.tree import Tree

    console = open_console(highlight=False)
    if len(steps) == 1:
        console.print(_grow(steps[0], files, downstream))
        return
    tree = Tree(_styled((steps[0].table, "bold")), guide_style="dim")
    for step in steps:
        if step.column == ROWS:
            tree.children.append(_grow(step, files, downstream))
        else:
            tree.add(_say_inputs(step))
    console.print(tree)


def _say_inputs(step: Step) -> Text:
    inputs: tuple[Step | ColumnOrigin, ...] = (*step.steps, *step.decided_by)
    parts = [f"{_say_column(one.table, one.column)} ({_spell(one.subtype or '')})" for one in inputs]
    said = "" if step.expression == step.column else f" = {step.expression}"
    return _styled((step.column, ""), (said, "dim"), ("  ← " + ", ".join(parts) if parts else "", "cyan"))


def _grow(step: Step, files: Sequence[RawFile], downstream: bool) -> Tree:
    from rich.tree import Tree

    tree = Tree(_say_step(step, downstream), guide_style="dim")
    for part, group in groupby(sorted(step.decided_by, key=lambda one: one.subtype), key=lambda one: one.subtype):
        conditions = dict.fromkeys(f"{one.description} ({_say_column(one.table, one.column)})" for one in group)
        tree.add(_styled((_spell(part), "yellow"), (" " + "; ".join(conditions), "dim")))
    for file in (file for file in files if file.table == step.table):
        tree.add(_say_file(file))
    for one in step.steps:
        tree.children.append(_grow(one, files, downstream))
    return tree


def _say_step(step: Step, downstream: bool) -> Text:
    pieces = [(_say_column(step.table, step.column), "bold" if step.subtype is None else "")]
    if step.subtype is not None:
        pieces.append((f"  {_spell(step.subtype)}", "cyan" if step.subtype.is_direct else "yellow"))
    said = step.description if downstream else step.expression
    if said and said != step.column:
        pieces.append((f"  {'' if downstream else '= '}{said}", "dim"))
    if step.again:
        pieces.append(("  (as above)", "dim"))
    elif downstream and step.subtype is not None and step.column == ROWS:
        pieces.append(("  and so every column", "dim"))
    elif not (downstream or step.steps or step.expression):
        pieces.append(("  (source)", "dim"))
    return _styled(*pieces)


def _say_column(table: str, column: str) -> str:
    return f"rows of {table}" if column == ROWS else f"{table}.{column}"


def _say_file(file: RawFile) -> Text:
    return _styled((file.path, "bold"), (f"  {file.content_hash}  read by run {file.run_id}", "dim"))


def _spell(part: str) -> str:
    return part.lower().replace("_", " ")


def _styled(*pieces: tuple[str, str]) -> Text:
    from rich.text import Text

    return Text.assemble(*pieces)
