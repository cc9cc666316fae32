"""Pages from templates: HTML that needs no network, no script and no other file."""

from __future__ import annotations

from importlib.resources import files
from typing import Any


def render(name: str, content: dict[str, Any]) -> str:
    """Return a page.

    Args:
        name: The template's path inside the package, `/` between its parts. Templates name each
            other in the same way.
        content: What the template knows. A name that it lacks is an error.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(content)


def _source(name: str) -> str:
    return files("synthray").joinpath(name).read_text(encoding="utf-8")
