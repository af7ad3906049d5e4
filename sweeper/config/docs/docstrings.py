"""The docstrings of dataclasses: the meaning of each class and of each field, for the documents made from them."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import is_dataclass
from typing import Any


def summary(kind: type[Any]) -> str:
    """The docstring of a class up to its first blank line, on one line."""
    return " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())


def field_docs(kind: type[Any]) -> dict[str, str]:
    """Field -> the string below it, on one line; also of the fields that a class inherits."""
    docs: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        if not is_dataclass(one):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field_node, next_node in zip(body.body, body.body[1:], strict=False):
            if isinstance(field_node, ast.AnnAssign) and isinstance(field_node.target, ast.Name):
                match next_node:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        docs[field_node.target.id] = " ".join(text.split())
    return docs
