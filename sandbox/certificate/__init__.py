"""The certificate of a release, for auditors and counsel: HTML or PDF, Chinese or English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from riskgraph.core.errors import Invalid
from riskgraph.sandbox.certificate.html import render_html
from riskgraph.sandbox.certificate.page import certificate_page
from riskgraph.sandbox.certificate.pdf import render_pdf
from riskgraph.sandbox.certificate.texts import LANGUAGES
from riskgraph.sandbox.release import Release

__all__ = ["FORMATS", "check_choice", "render_certificate"]
FORMATS = ("html", "pdf")


def check_choice(lang: str, form: str) -> None:
    """Check language and format before any work.

    Raises:
        Invalid: If one of them is unknown.
    """
    for name, given, known in (("--lang", lang, LANGUAGES), ("--format", form, FORMATS)):
        if given not in known:
            raise Invalid(f"{name} must be one of {', '.join(known)}, got {given!r:.40}", field=name)


def render_certificate(
    release: Release,
    record: Mapping[str, Any],
    later: Sequence[Mapping[str, Any]] | None,
    *,
    lang: str,
    form: str,
) -> bytes:
    """Render the certificate of a verified release; the same input gives the same bytes.

    Args:
        release: A release that was opened, so that what the page says has been checked.
        record: Its audit record.
        later: Verified records of the log that speak of it (attacks, models trained on it, erasures), or
            attacks on the procedure; None where there is no log to look into.
        lang: ``zh`` or ``en``.
        form: ``html`` or ``pdf``.

    Raises:
        Invalid: If language or format is unknown.
        ExtraMissing: If a PDF is asked for without the extra ``pdf``.
    """
    check_choice(lang, form)
    page = certificate_page(release.manifest, record, later, lang)
    return render_html(page).encode() if form == "html" else render_pdf(page)
