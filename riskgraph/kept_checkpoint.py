"""The checkpoint of a training process, kept beside the model's folder by whoever started it."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO

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
        return [_ANEW] if resume and not self.path.exists() else []

    def hand(self, work: Path, owner: tuple[int, int] | None) -> None:
        """Give a copy to the child, which checks it; ``owner`` is another user that trains, and its group."""
        if self.path.exists():
            shutil.copyfile(self.path, work / CHECKPOINT)
            if owner is not None:
                os.chown(work / CHECKPOINT, *owner)

    def keep(self, work: Path) -> None:
        """Take over what the child has just saved."""
        from riskgraph.models.compiled import settle

        self.path.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        part = self.path.with_name(f"{self.path.name}.part")
        try:
            with part.open("wb") as file:
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
