"""The bilingual texts of the certificate."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

LANGUAGES = ("zh", "en")


@lru_cache(maxsize=1)
def table() -> Mapping[str, Any]:
    path = resources.files("riskgraph.sandbox.certificate").joinpath("texts.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


class Say:
    """Texts in one language: ``say("title.certificate")``."""

    def __init__(self, lang: str) -> None:
        self.lang = lang

    def __call__(self, key: str, **values: object) -> str:
        section, _, name = key.partition(".")
        text = str(table()[section][name][self.lang])
        return text.format(**values) if values else text

    def known(self, section: str, name: str) -> str:
        """The text of a name that another part of the sandbox gave; the name itself where there is none."""
        entry = table()[section].get(name)
        return str(entry[self.lang]) if entry else name

    def law(self, name: str) -> str:
        return self(f"law.{name}")
