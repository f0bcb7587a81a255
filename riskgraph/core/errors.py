"""Every error that riskgraph raises on purpose.

RiskgraphError
├── BadRequest (400)            the body cannot be read at all (exit code 2)
│   └── TooLarge (413)
├── Unauthenticated (401)
├── Forbidden (403)
├── NotFound (404)
├── Conflict (409)
├── SessionExpired (410)       the time of a session of the browser SDK is over
├── Invalid (422)               one named field is wrong (exit code 2)
│   ├── UnknownField            a field is not on the list of those allowed
│   │   └── SensitiveField      a field asks for special-category data
│   └── SubgraphError           an order subgraph breaks its own shape
├── TooManyRequests (429)
├── ExtraMissing (501)          the install lacks an optional extra
├── Unavailable (503)
│   ├── StorageUnavailable
│   └── ModelUnavailable
└── CheckFailed                 a gate, certificate or signature did not hold (exit code 3)

The class gives the HTTP status and the machine code; one translator in the API turns it into the
error shape of the wire: ``{"error": {"code", "message", "field", "trace_id"}}``.
"""

from __future__ import annotations


class RiskgraphError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: What is wrong and what to do about it, in one sentence.
        field: Dotted path of the offending field, if there is one.
    """

    status = 500
    code = "internal"
    exit_code = 1

    def __init__(self, message: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        if code is not None:
            self.code = code


class BadRequest(RiskgraphError):
    status, code = 400, "bad_request"
    exit_code = 2


class TooLarge(BadRequest):
    status, code = 413, "too_large"


class Unauthenticated(RiskgraphError):
    status, code = 401, "unauthenticated"


class Forbidden(RiskgraphError):
    status, code = 403, "forbidden"


class NotFound(RiskgraphError):
    status, code = 404, "not_found"


class Conflict(RiskgraphError):
    status, code = 409, "conflict"


class SessionExpired(RiskgraphError):
    status, code = 410, "session_expired"


class Invalid(RiskgraphError):
    status, code = 422, "invalid"
    exit_code = 2


class UnknownField(Invalid):
    """A field is not on the list of those allowed; ``names`` are all such fields, ``field`` the first."""

    def __init__(self, message: str, *, field: str, names: tuple[str, ...] = ()) -> None:
        super().__init__(message, field=field)
        self.names = names or (field,)


class SensitiveField(UnknownField):
    """A field name asks for special-category data (GDPR Art. 9; PIPL Art. 28)."""

    code = "sensitive_field"


class SubgraphError(Invalid):
    code = "invalid_subgraph"


class TooManyRequests(RiskgraphError):
    status, code = 429, "too_many_requests"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ExtraMissing(RiskgraphError):
    status, code = 501, "extra_missing"

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional extra: pip install 'riskgraph[{extra}]'")
        self.extra = extra


class Unavailable(RiskgraphError):
    status, code = 503, "unavailable"


class StorageUnavailable(Unavailable):
    code = "storage_unavailable"


class ModelUnavailable(Unavailable):
    code = "model_unavailable"


class CheckFailed(RiskgraphError):
    """A gate, certificate or signature did not hold; the command line exits with 3."""

    code = "check_failed"
    exit_code = 3
