"""The checkpoint of a training process, kept beside the model's folder by whoever started it."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from riskgraph.core.errors import CheckFailed

CHECKPOINT = "checkpoint"
_ANEW = "there is no checkpoint of an earlier run beside the model's folder; training began anew"


@dataclass(frozen=True)
class Kept:
    """The child's last checkpoint, where it outlives both processes."""

    path: Path

    @classmethod
    def beside(cls, out: Path) -> Kept:
        out = out.resolve()
        return cls(out.with_name(f".{out.name}.checkpoint"))

    def check(self, kind: str, workers: int, device: str, resume: bool) -> list[str]:
        """See that the kind can be trained so; returns what to tell."""
        from riskgraph.models.checkpoint import Checkpoint
        from riskgraph.models.fitters import Means

        Means(workers, device, Checkpoint(self.path, {}) if resume else None).check(kind)
        return [_ANEW] if resume and not os.path.lexists(self.path) else []

    def hand(self, work: Path, owner: tuple[int, int] | None) -> None:
        """Give a copy to the child, which checks it; ``owner`` is another user that trains, and its group.

        No link is followed: one that somebody lays into a shared folder would hand that user any file.

        Raises:
            CheckFailed: If anything but a plain file lies there.
        """
        if not os.path.lexists(self.path):
            return
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with (work / CHECKPOINT).open("xb") as copy:
                copy_plain(self.path.name, folder, copy)
        except OSError as error:
            raise CheckFailed(
                f"{self.path} is no plain file; take it away, or train without --resume", field="--resume"
            ) from error
        finally:
            os.close(folder)
        if owner is not None:
            os.chown(work / CHECKPOINT, *owner)

    def keep(self, work: Path) -> None:
        """Take over what the child has just saved."""
        from riskgraph.models.compiled import settle

        self.path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        part = self.path.with_name(f"{self.path.name}.part")
        try:
            # Made anew, never opened: a link that somebody laid there would lead to any file.
            part.unlink(missing_ok=True)
            with part.open("xb") as file:
                copy_plain(CHECKPOINT, folder, file)
            settle(part, self.path)
        finally:
            os.close(folder)
            part.unlink(missing_ok=True)


def copy_plain(name: str, folder: int, copy: IO[bytes]) -> None:
    """Copy a file of the child's folder, given as a descriptor; OSError if it is no plain file."""
    # Not blocking: a pipe that lies there would never end.
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with open(source, "rb") as file:
        kept = os.fstat(source)
        if not stat.S_ISREG(kept.st_mode) or kept.st_nlink != 1:
            raise OSError(errno.EINVAL, "not a plain file")
        shutil.copyfileobj(file, copy)
