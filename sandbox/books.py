"""The books of an installation, as a release uses them: its audit log, and its ledger of used records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from riskgraph.core.errors import Invalid
from riskgraph.core.table import OrderTable
from riskgraph.sandbox.audit import append_audit, check_chained, next_entry, sealed_line
from riskgraph.sandbox.ledger import Ledger
from riskgraph.sandbox.manifest import stamp
from riskgraph.sandbox.request import ReleaseRequest

if TYPE_CHECKING:
    from riskgraph.ports import Signer


@dataclass(frozen=True)
class Books:
    """Audit log and ledger of the installation, where they are kept; simulated records have no ledger."""

    signer: Signer
    log: Path | None
    ledger: Ledger | None

    def entry(self, record: Mapping[str, Any]) -> AbstractContextManager[bytes]:
        """The record's line; with a log, its place there is kept and it is appended at the end."""
        if self.log is None:
            return nullcontext(sealed_line(record, self.signer))
        return next_entry(self.log, record, self.signer)

    def refuse(self, record: Mapping[str, Any]) -> None:
        if self.log is not None:
            append_audit(self.log, record, self.signer)

    def barred(self, table: OrderTable) -> dict[str, NDArray[np.bool_]]:
        """Orders that must not enter, as a mask by reason."""
        return self.ledger.barred(table.order_id) if self.ledger else {}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else takes records meanwhile; an unfinished release gives its own back at the end."""
        check_chained(self.log)
        with ExitStack() as stack:
            if self.ledger:
                stack.enter_context(self.ledger.locked())
                stack.enter_context(self.ledger.handing_over())
            yield


def open_books(request: ReleaseRequest, signer: Signer, log: Path | None, ledger: Path | None) -> Books:
    if ledger is None or request.provenance == "simulated":
        return Books(signer, log, None)
    if log is None:
        raise Invalid("a ledger needs the audit log that vouches for it", field="audit_log")
    return Books(signer, log, Ledger(ledger, log, signer, request.code, stamp(request.now)))
