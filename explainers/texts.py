"""The bilingual tables under ``data/``, read once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

LANGUAGES = ("zh", "en")


def language(tag: str | None) -> str:
    """``zh`` or ``en`` for a language tag such as ``zh-CN`` (English for any other language)."""
    return "zh" if (tag or "").lower().startswith("zh") else "en"


@lru_cache(maxsize=16)
def table(name: str) -> Mapping[str, Any]:
    """A data table: ``texts``, ``wording``, ``law`` or one of ``reasons/``."""
    path = resources.files("riskgraph.explainers").joinpath("data", f"{name}.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def say(key: str, lang: str, source: str = "texts", /, **values: object) -> str:
    """A sentence of the reports, for instance ``say("verdict.reject", "en")``; ``source`` is its table."""
    section, _, name = key.partition(".")
    text = str(table(source)[section][name][lang])
    return text.format(**values) if values else text


def headings(lang: str) -> dict[str, str]:
    return {key: texts[lang] for key, texts in table("texts")["heading"].items()}


def labels(lang: str) -> dict[str, str]:
    return {key: texts[lang] for key, texts in table("texts")["label"].items()}
