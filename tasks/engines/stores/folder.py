"""The `file:` store: a folder on a disk of this machine, or on one that machines share.

In: keys and bytes. Out: files below the root, each visible only when it is whole: it is written below `tmp/`,
synced and then renamed (to replace) or linked (to create, with one winner), and its folder is synced.
Knows no digest and no manifest beyond its name.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

from tasks.domain.errors import SettingsError, StoreError
from tasks.engines.stores import MANIFEST, SPOOL, Stored, check_key, check_prefix

_BLOCK_BYTES = 1 << 20
_MIN_FREE_BYTES = 64 * 10**6
"""With less no programme of a minute can be made."""
_ABSENT = (errno.ENOENT, errno.ENOTDIR)
_FULL = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


class FolderStore:
    """A store in a folder. Many processes may share it; the folder appears with the first write."""

    def __init__(self, root: Path) -> None:
        """root: absolute."""
        self._root = root
        self._spool = root / SPOOL

    @property
    def uri(self) -> str:
        """As `Store.uri`."""
        return f"file:{self._root}"

    def check(self, *, write: bool = False) -> None:
        """As `Store.check`."""
        with self._answering("look at it"):
            there = next(folder for folder in (self._root, *self._root.parents) if folder.exists())
            if not there.is_dir():
                raise SettingsError(f"the store {self.uri} cannot be a folder: {there} is a file.")
            if not os.access(there, os.W_OK | os.X_OK):
                raise SettingsError(
                    f"the store {self.uri} cannot be written: no permission for {there}.",
                    remedy="Change the permission, or name another store with --store.",
                )
            if (free := shutil.disk_usage(there).free) < _MIN_FREE_BYTES:
                raise StoreError(
                    f"The store {self.uri} has no room: its disk has {free // 10**6} MB left. "
                    "Free some space, or name another store with --store."
                )
        if write:
            self._prove()

    def _prove(self) -> None:
        # Some network file systems have no hard links, and without them creating has no single winner.
        with self._answering("write a probe"), self._spooled(b"probe") as spooled:
            twin = spooled.with_suffix(".twin")
            try:
                os.link(spooled, twin)
            except OSError as error:
                raise SettingsError(
                    f"the store {self.uri} lies on a file system without hard links.",
                    remedy="Name a folder on another disk with --store.",
                ) from error
            os.unlink(twin)

    def stat(self, key: str) -> Stored | None:
        """As `Store.stat`."""
        with self._answering(f"look for {key}"):
            return _stored(key, self._place(key))

    def local(self, key: str) -> Path | None:
        """As `Store.local`."""
        return None if self.stat(key) is None else self._place(key)

    def fetch(self, key: str, target: Path) -> bool:
        """As `Store.fetch`."""
        beside = target.with_name(f".{uuid.uuid4().hex}.part")
        with self._answering(f"fetch {key} to {target}"):
            try:
                _copy(self._place(key), beside)
                os.replace(beside, target)
            except OSError as error:
                if error.errno in _ABSENT and not self._place(key).exists():
                    return False
                raise
            finally:
                _forget(beside)
        return True

    def read(self, key: str, *, limit: int = 64 << 20) -> bytes | None:
        """As `Store.read`."""
        with self._answering(f"read {key}"):
            try:
                with open(self._place(key), "rb") as file:
                    content = file.read(limit + 1)
            except OSError as error:
                if error.errno in (*_ABSENT, errno.EISDIR):
                    return None
                raise
        if len(content) > limit:
            raise StoreError(f"{self.address(key)} is larger than the {limit} bytes that such a document may have.")
        return content

    def put(self, key: str, source: Path, media_type: str) -> None:
        """As `Store.put`. A folder keeps no media type."""
        self._replace(key, source)

    def write(self, key: str, content: bytes, media_type: str) -> None:
        """As `Store.write`. A folder keeps no media type."""
        self._replace(key, content)

    def _replace(self, key: str, source: Path | bytes) -> None:
        target = self._place(key)
        with self._answering(f"write {key}"), self._spooled(source) as spooled:
            _make_folder(target.parent)
            os.replace(spooled, target)
            _sync_folder(target.parent)

    def create(self, key: str, content: bytes, media_type: str) -> bool:
        """As `Store.create`: a hard link is made by one process alone, and never to half a file."""
        target = self._place(key)
        with self._answering(f"create {key}"):
            # Most losers come late: they need write nothing.
            if target.exists():
                return False
            with self._spooled(content) as spooled:
                _make_folder(target.parent)
                try:
                    os.link(spooled, target)
                except FileExistsError:
                    return False
                _sync_folder(target.parent)
        return True

    def touch(self, key: str) -> bool:
        """As `Store.touch`."""
        with self._answering(f"touch {key}"):
            try:
                os.utime(self._place(key))
            except OSError as error:
                if error.errno in _ABSENT:
                    return False
                raise
        return True

    def delete(self, key: str) -> None:
        """As `Store.delete`."""
        with self._answering(f"delete {key}"):
            try:
                os.unlink(self._place(key))
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise

    def list(self, prefix: str) -> Iterator[Stored]:
        """As `Store.list`. Files that are no objects (a file manager's own) are passed over."""
        folder, _, _ = check_prefix(prefix).rpartition("/")
        with self._answering(f"list {prefix or 'everything'}"):
            yield from self._walk(self._root / folder, prefix)

    def _walk(self, top: Path, prefix: str) -> Iterator[Stored]:
        for folder, folders, names in os.walk(top, onerror=_raise):
            folders.sort()
            for name in sorted(names):
                path = Path(folder, name)
                key = path.relative_to(self._root).as_posix()
                if key.startswith(prefix) and _is_key(key) and (stored := _stored(key, path)):
                    yield stored

    def copy(self, source: str, target: str) -> None:
        """As `Store.copy`: a second name for the same bytes, which nobody alters."""
        place, linked = self._place(target), self._spool / uuid.uuid4().hex
        with self._answering(f"copy {source} to {target}"):
            _make_folder(self._spool)
            try:
                self._link(source, linked)
                _make_folder(place.parent)
                os.replace(linked, place)
                _sync_folder(place.parent)
            finally:
                _forget(linked)

    def publish(self, prefix: str, files: Mapping[str, str], manifest: bytes) -> bool:
        """As `Store.publish`: the folder is filled below `tmp/` and renamed with its manifest in it.

        The files are hard links to the objects: a delivery costs no second copy.
        """
        target = self._place(prefix)
        filled = self._spool / f"{uuid.uuid4().hex}.folder"
        with self._answering(f"publish {prefix}"):
            if (target / MANIFEST).exists():
                return False
            try:
                self._fill(filled, files, manifest)
                _make_folder(target.parent)
                return self._show(filled, target)
            finally:
                shutil.rmtree(filled, ignore_errors=True)

    def _fill(self, folder: Path, files: Mapping[str, str], manifest: bytes) -> None:
        _make_folder(folder)
        for name, key in files.items():
            self._link(key, folder / check_key(name))
        with self._spooled(manifest) as spooled:
            os.replace(spooled, folder / MANIFEST)
        _sync_folder(folder)

    def _link(self, key: str, path: Path) -> None:
        try:
            os.link(self._place(key), path)
        except FileNotFoundError as error:
            raise StoreError(f"{self.address(key)} is gone. Run again.") from error

    def _show(self, filled: Path, target: Path) -> bool:
        # A folder cannot be renamed onto one that holds something: of many publishers one wins.
        for _ in range(3):
            try:
                os.rename(filled, target)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                if (target / MANIFEST).exists():
                    return False
                # Somebody deleted its manifest by hand: what is left is no programme, and in the way.
                with suppress(FileNotFoundError):
                    os.rename(target, self._spool / f"{uuid.uuid4().hex}.folder")
            else:
                _sync_folder(target.parent)
                return True
        raise StoreError(f"{target} cannot be published: something keeps writing into that folder.")

    def tidy(self, before: datetime) -> int:
        """As `Store.tidy`: what lies below `tmp/` and has not been written to since."""
        count = 0
        with self._answering("tidy up"):
            for path in sorted(self._spool.glob("*")):
                with suppress(FileNotFoundError):
                    if _modified(path.lstat()) < before:
                        _forget(path)
                        count += 1
        return count

    def address(self, key: str) -> str:
        """As `Store.address`."""
        return str(self._place(key))

    def link(self, key: str, seconds: int) -> str:
        """As `Store.link`."""
        return self._place(key).as_uri()

    def _place(self, key: str) -> Path:
        return self._root / check_key(key)

    @contextmanager
    def _spooled(self, source: Path | bytes) -> Iterator[Path]:
        """A whole, synced file below `tmp/`; removed at the end where nobody has renamed it."""
        _make_folder(self._spool)
        path = self._spool / uuid.uuid4().hex
        try:
            if isinstance(source, Path):
                _copy(source, path)
            else:
                _fill_file(path, iter((source,)))
            yield path
        finally:
            _forget(path)

    @contextmanager
    def _answering(self, doing: str) -> Iterator[None]:
        """The one place where the system's errors become ours."""
        try:
            yield
        except OSError as error:
            why = f"({error.strerror or error})."
            if error.errno in _FULL:
                why = "because its disk is full. Free some space, or name another store with --store."
            elif error.errno in _DENIED:
                why = f"for want of permission {why}"
            raise StoreError(f"The store {self.uri} could not {doing} {why}") from error


def load(uri: str, options: Mapping[str, Any]) -> FolderStore:
    """The folder that "file:/abs", "file:///abs" or "file:rel" (below the working folder) names."""
    path = uri.removeprefix("file:")
    if path.startswith("//"):
        host, _, rest = path[2:].partition("/")
        path = f"/{rest}" if host in ("", "localhost") and rest else ""
    if not path or "\0" in path:
        raise SettingsError(f"the store {uri!r} names no folder.", remedy="Write file:/path/to/folder or file:folder.")
    if options:
        raise SettingsError(f"a folder has no settings, but {', '.join(sorted(options))} is set for {uri!r}.")
    return FolderStore(Path(os.path.abspath(path)))


def _stored(key: str, path: Path) -> Stored | None:
    try:
        status = os.stat(path)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    if not S_ISREG(status.st_mode):
        return None
    return Stored(key=key, size=status.st_size, modified=_modified(status))


def _modified(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)


def _is_key(key: str) -> bool:
    try:
        check_key(key)
    except ValueError:
        return False
    return True


def _copy(source: Path, target: Path) -> None:
    with open(source, "rb") as file:
        _fill_file(target, iter(lambda: file.read(_BLOCK_BYTES), b""))


def _fill_file(path: Path, blocks: Iterator[bytes]) -> None:
    """Write a new file and wait until the disk has it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        for block in blocks:
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    """The folder and its parents, each new name synced: a file synced in a lost folder is lost."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with suppress(FileExistsError):
        os.mkdir(folder)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _forget(path: Path) -> None:
    """Remove a file or a folder of ours; what resists is left for `tidy`."""
    with suppress(OSError):
        if S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path)
        else:
            os.unlink(path)


def _raise(error: OSError) -> None:
    if error.errno not in _ABSENT:
        raise error
