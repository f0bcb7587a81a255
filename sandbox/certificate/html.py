"""The certificate as one self-contained HTML page: no script, no external resource."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

if TYPE_CHECKING:
    from riskgraph.sandbox.certificate.page import Page


def render_html(page: Page) -> str:
    """Render a page; it carries its own Content-Security-Policy."""
    css = _template("certificate.css")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    csp = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return _environment().get_template("certificate.html.j2").render(page=page, css=Markup(css), csp=csp)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Pictures are drawn here, with every text in them escaped.
    environment.filters["picture"] = Markup
    return environment


@lru_cache(maxsize=4)
def _template(name: str) -> str:
    folder = resources.files("riskgraph.sandbox.certificate").joinpath("templates")
    return folder.joinpath(name).read_text(encoding="utf-8")
