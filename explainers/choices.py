"""What a reader may ask of a report, for the service and the command line alike."""

from __future__ import annotations

from enum import StrEnum


class Audience(StrEnum):
    SUBJECT = "subject"
    COMPLIANCE = "compliance"
    AUTHORITY = "authority"
    FRAUD_TEAM = "fraud_team"


class Law(StrEnum):
    GDPR = "gdpr"
    PIPL = "pipl"
    BOTH = "both"


class Lang(StrEnum):
    EN = "en"
    ZH = "zh"


class Form(StrEnum):
    JSON = "json"
    HTML = "html"
    PDF = "pdf"
