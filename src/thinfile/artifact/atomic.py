"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from thinfile.errors import ArtifactError


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Hand out a temporary name beside `path`; on success the file there becomes `path`.

    If the body raises, the temporary file is removed and an old file at `path` stays as it is.

    Raises
    ------
    ArtifactError
        If the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        raise ArtifactError(cannot_write(path, error)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write a folder of files under a temporary name, then give it its own.

    Raises
    ------
    FileExistsError
        If something is at `folder` itself already.
    OSError
        If a parent is no folder or the disk refuses; nothing is left behind.
    """
    made = _make_parents(folder.parent)
    temporary: str | None = None
    try:
        temporary = tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent)
        os.chmod(temporary, 0o755)  # mkdtemp's own mode shuts out everybody else
        for name, content in contents.items():
            _write(Path(temporary, name), content)
        sync(Path(temporary))
        _move(Path(temporary), folder)
        temporary = None
        sync(folder.parent)
    except BaseException:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
            _remove_empty(made)
        raise


def point(link: Path, target: Path) -> None:
    """Make `link` a relative symbolic link to `target`, in one step also where one exists."""
    temporary = link.with_name(f".{link.name}.{os.getpid()}.link")
    try:
        temporary.symlink_to(os.path.relpath(target, link.parent), target_is_directory=True)
        os.replace(temporary, link)
        sync(link.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ArtifactError(cannot_write(link, error)) from error


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cannot_write(path: Path, error: OSError) -> str:
    """One line about a write that failed."""
    return f"{path}: cannot be written: {error.strerror or error}; nothing was changed"


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _move(temporary: Path, folder: Path) -> None:
    # rename replaces an empty folder without a word, which is the one case that does no harm.
    if folder.is_symlink() or folder.is_file():
        raise FileExistsError(f"{folder} exists")
    try:
        os.rename(temporary, folder)
    except OSError as error:
        if folder.exists():
            raise FileExistsError(f"{folder} exists") from error
        raise


def _make_parents(folder: Path) -> list[Path]:
    """Make a folder with its parents; returns those that were not there, deepest first."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        # What stands in the way is a parent; callers take "exists" to mean the folder itself.
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is no folder") from error
    return missing


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
