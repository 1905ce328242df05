"""Every call of the store, of PyAV and of FFmpeg fails once: the run says so in our words, and the next one goes on.

n = 1, 2, 3 ... until a run passes; after each, nothing half-made is visible, and the resumed programme is equal.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import av.error
import pytest

from flows.settings import Settings
from tasks import composite
from tasks.domain.errors import MediaError, StoreError
from tasks.engines.stores import MANIFEST
from tasks.formats.manifest import read_manifest
from tests.fakes import HummingVoice, MemoryStore
from tests.productions import Made, TinyWiring, produce, substance, write_episode

SCRIPT = "ANNA: Hello, Ben.\nBEN: Hi."


@dataclass
class Site:
    """One tiny episode, and what its undisturbed programme is, and how many calls of the store it takes."""

    folder: Path
    episode: Path
    expected: tuple[object, ...] = ()
    num_calls: int = 0

    def run(self, store: MemoryStore) -> Made:
        """A production into `store`, on a machine of its own."""
        wiring = TinyWiring(Settings(store="file:unused", scratch=str(self.folder)), store)
        wiring.__dict__["voices"] = HummingVoice(rate_hz=48_000)
        try:
            return produce(self.episode, wiring)
        finally:
            wiring.close()

    def resume(self, store: MemoryStore) -> None:
        """Expect that a run goes on from what `store` holds, to an equal programme and to nothing else."""
        assert substance(store, self.run(store).programmes[0]) == self.expected
        assert len([key for key in store.objects if key.endswith(f"/{MANIFEST}")]) == 1
        expect_sound(store)


@dataclass
class Once:
    """What composite makes with FFmpeg and PyAV, kept by the bytes that it was made from; copied while `is_on`."""

    folder: Path
    is_on: bool = False

    def of(self, make: Callable[..., Any], kept: dict[str, tuple[Any, Path]]) -> Callable[..., Any]:
        """`make`, or a copy of what it made of the same clips and the same master."""

        def copied(work: Any, *values: Any) -> Any:
            given = [*work.sources.values(), *(value for value in values if isinstance(value, Path))]
            name = " ".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in given)
            if not self.is_on or name not in kept:
                made = make(work, *values)
                path = made[0] if isinstance(made, tuple) else made.path
                kept[name] = made, Path(shutil.copy(path, self.folder / f"{make.__name__}{len(kept)}{path.suffix}"))
                return made
            made, copy = kept[name]
            path = Path(shutil.copy(copy, work.bench / f"{make.__name__}{copy.suffix}"))
            return (path, *made[1:]) if isinstance(made, tuple) else replace(made, path=path)

        return copied


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Once]:
    """Seconds are saved where what FFmpeg makes is not what is tested: other clips or sound are never a copy."""
    once = Once(tmp_path_factory.mktemp("once"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_sound", "_video", "_poster"):
            patch.setattr(composite, name, once.of(getattr(composite, name), {}))
        yield once


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, once: Once) -> Site:
    folder = tmp_path_factory.mktemp("site")
    output = {"aspect": "16:9", "height": 180, "captions": ["vtt"]}
    made = Site(folder, write_episode(folder, script=SCRIPT, outputs=[output]))
    store = MemoryStore()
    programme = made.run(store).programmes[0]
    made.num_calls = store.num_calls
    made.expected = substance(store, programme)
    return made


def expect_sound(store: MemoryStore) -> None:
    """Assets are what their names say; a manifest is there only with all its files; `latest` names one."""
    for key, (content, _) in store.objects.items():
        if key.startswith("assets/"):
            assert hashlib.sha256(content).hexdigest() in key, f"{key} has other bytes"
        if key.endswith(f"/{MANIFEST}"):
            folder = key.removesuffix(f"/{MANIFEST}")
            for output in read_manifest(content, key).outputs:
                held = store.objects[f"{folder}/{output.name}"][0]
                assert hashlib.sha256(held).hexdigest() == output.sha256, (
                    f"{folder}/{output.name} is not what its manifest says"
                )
        if key.endswith("/latest.json"):
            assert any(name.endswith(MANIFEST) for name in store.objects)


# --- the store --------------------------------------------------------------------------------------------------------


class FaultyStore(MemoryStore):
    """Fails at one call, before it has done anything or after, once or from then on."""

    def __init__(self, bad_call: int, *, after: bool, for_good: bool) -> None:
        super().__init__()
        self.bad_call, self.after, self.for_good = bad_call, after, for_good
        self.failed: list[str] = []

    def _called(self, what: str) -> Any:
        lock = super()._called(what)
        if self.num_calls == self.bad_call or (self.for_good and self.num_calls > self.bad_call):
            self.failed.append(what)
            if not self.after:
                raise StoreError(f"The store went away at {what}.")
            return _Lost(what, lock)
        return lock


class _Lost:
    """The call is done, and its answer never comes."""

    def __init__(self, what: str, lock: Any) -> None:
        self.what, self.lock = what, lock

    def __enter__(self) -> None:
        self.lock.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.lock.__exit__(*error)
        raise StoreError(f"The answer to {self.what} was lost.")


@pytest.mark.parametrize(
    ("after", "for_good"), [(True, True), (False, False)], ids=["an answer is lost, and the rest", "one call fails"]
)
def test_a_store_that_fails_anywhere_loses_nothing(site: Site, once: Once, after: bool, for_good: bool) -> None:
    """At each of its calls: done but never answered, and gone from then on; or refused once."""
    once.is_on = True
    kinds, passed = set(), 0
    for number in range(1, site.num_calls + 1):
        store = FaultyStore(number, after=after, for_good=for_good)
        try:
            made = site.run(store)
        except StoreError:
            made = None
        store.bad_call = 10**9
        kinds |= {what.split()[0] for what in store.failed[:1]}
        expect_sound(store)
        if made is None:
            site.resume(store)
        else:
            assert substance(store, made.programmes[0]) == site.expected
            passed += 1

    assert kinds == {"stat", "read", "write", "create", "publish"}
    # What is gone stays gone; a call that fails once is made again where its stage may be tried again.
    assert passed == 0 if for_good else site.num_calls // 2 < passed < site.num_calls


# --- PyAV and FFmpeg --------------------------------------------------------------------------------------------------


class FaultyMedia:
    """`av.open` and FFmpeg's start, of which one call fails."""

    def __init__(self, patch: pytest.MonkeyPatch, bad_call: int) -> None:
        self.num_calls, self.bad_call = 0, bad_call
        damaged = av.error.InvalidDataError(1094995529, "Invalid data found when processing input")
        patch.setattr(av, "open", self._failing(av.open, damaged))
        patch.setattr(subprocess, "Popen", self._failing(subprocess.Popen, OSError(12, "Cannot allocate memory")))

    def _failing(self, real: Callable[..., Any], error: Exception) -> Callable[..., Any]:
        def called(*values: Any, **options: Any) -> Any:
            self.num_calls += 1
            if self.num_calls == self.bad_call:
                raise error
            return real(*values, **options)

        return called


def test_media_that_fails_anywhere_loses_nothing(site: Site, once: Once) -> None:
    """At each file that is opened, each FFmpeg that is started: MediaError, nothing visible, and an equal resume."""
    number, failures = 0, []
    while True:
        number += 1
        store, once.is_on = MemoryStore(), False
        with pytest.MonkeyPatch.context() as patch:
            media = FaultyMedia(patch, number)
            try:
                made = site.run(store)
                break
            except MediaError as error:
                failures.append(str(error))
        once.is_on = True
        assert not [key for key in store.objects if key.startswith("programmes/")]
        site.resume(store)

    assert number == media.num_calls + 1
    assert len(failures) > 15
    assert substance(store, made.programmes[0]) == site.expected
