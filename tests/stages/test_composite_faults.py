"""What composite does when something breaks: a sentence that says what, and nothing half-written."""

import errno
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from s2v_model.contract import Stopped
from tasks.composite import composite
from tasks.domain.errors import MediaError, StoreError
from tasks.domain.options import MarkingOptions, OutputOptions, SoundOptions
from tasks.media import encoder, sound
from tests.composing import Files, programme, write_clip

OUTPUTS = (OutputOptions(aspect="16:9", height=144, captions=()),)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "work")


def make(files: Files, plan, clips, watch=lambda done, total: None):
    return composite(plan, clips, OUTPUTS, SoundOptions(), MarkingOptions(), workspace=files, watch=watch)


def leftovers(files: Files) -> list[Path]:
    return [path for path in (files.root / "tmp").rglob("*") if path.is_file()]


def test_a_missing_clip_is_named(files):
    """A plan whose clip is not there fails before anything is made."""
    plan, clips = programme(files, [5, 5])

    with pytest.raises(MediaError, match="shot1 has no clip"):
        make(files, plan, clips[:1])


def test_a_short_clip_is_named(files):
    """A clip with fewer frames than it claims fails, and nothing is left of the attempt."""
    plan, clips = programme(files, [10])
    write_clip(files.path(clips[0].video), range(6))

    with pytest.raises(MediaError, match=r"shot0 .* ends after 6 frames, frame 7 is needed"):
        make(files, plan, clips)
    assert leftovers(files) == []


def test_a_clip_that_is_no_video_is_named(files):
    """Bytes that are no clip give a sentence, and nothing is left of the attempt."""
    plan, clips = programme(files, [10])
    files.path(clips[0].video).write_bytes(b"nothing of the kind" * 100)

    with pytest.raises(MediaError, match=r"shot0 .* cannot be opened"):
        make(files, plan, clips)
    assert leftovers(files) == []


def test_a_clip_that_is_damaged_inside_is_named(files):
    """A clip whose packets are overwritten fails, or plays; it never stops FFmpeg from ending."""
    plan, clips = programme(files, [40])
    path = files.path(clips[0].video)
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 1200
    content[start : start + 400] = bytes(400)
    path.write_bytes(content)

    with pytest.raises(MediaError, match=r"the clip of shot shot0"):
        make(files, plan, clips)
    assert leftovers(files) == []


def test_a_clip_of_another_size_is_named(files):
    """A clip that is not as large as its plan says would show a face where none is expected."""
    plan, clips = programme(files, [10])
    write_clip(files.path(clips[0].video), range(10), (128, 72))

    with pytest.raises(MediaError, match="shot0 is 128x72, its plan says 64x36"):
        make(files, plan, clips)


def test_a_master_that_ends_early_is_refused(files):
    """Sound that is a second short would be silence at the end of the programme: it is damage."""
    plan, clips = programme(files, [50], sound=lambda count: [np.zeros((1, count - 48_000), np.float32)])

    with pytest.raises(MediaError, match=r"ends after 1\.00 s, the programme lasts 2\.00 s"):
        make(files, plan, clips)


def test_a_killed_ffmpeg_is_reported_with_its_command(files, monkeypatch):
    """The error names the signal and carries the command; no half file stays."""
    plan, clips = programme(files, [60])
    plain_write = encoder.Encoder.write
    count = iter(range(10**6))

    def write(self, frame):
        if next(count) == 20:
            os.kill(self._process.pid, signal.SIGKILL)
        plain_write(self, frame)

    monkeypatch.setattr(encoder.Encoder, "write", write)
    with pytest.raises(MediaError, match="SIGKILL") as caught:
        make(files, plan, clips)
    assert "libx264" in caught.value.command
    assert leftovers(files) == []


def test_ffmpegs_last_words_are_kept(files, monkeypatch):
    """A command that FFmpeg refuses gives an error with its log."""
    plan, clips = programme(files, [5])
    monkeypatch.setattr("tasks.media.mux.PRESET", "nonsense")

    with pytest.raises(MediaError, match="FFmpeg failed") as caught:
        make(files, plan, clips)
    assert "nonsense" in caught.value.log
    assert leftovers(files) == []


def test_an_ffmpeg_that_stands_still_is_given_up(tmp_path, monkeypatch):
    """A process that reads nothing is ended after the limit, and the watch is called all the while."""
    monkeypatch.setattr(encoder, "STALL_SECONDS", 0.3)
    monkeypatch.setattr(encoder, "TICK_SECONDS", 0.05)
    calls = []

    with (
        pytest.raises(MediaError, match="stood still"),
        encoder.Encoder(["sleep", "60"], tmp_path / "x", env={}, watch=lambda: calls.append(1)) as process,
    ):
        process.write(memoryview(bytes(10**7)))
    assert len(calls) >= 4


def test_stopping_leaves_nothing(files):
    """Stopped out of the watch ends FFmpeg and removes what was being made."""
    plan, clips = programme(files, [100])
    calls = []

    def watch(done, total):
        calls.append((done, total))
        if done > 30:
            raise Stopped

    with pytest.raises(Stopped):
        make(files, plan, clips, watch)
    assert leftovers(files) == []
    assert all(done <= total for done, total in calls)


def test_a_full_disk_is_the_stores_error(files, monkeypatch):
    """ENOSPC while the sound is written is a StoreError that says what to do."""
    plan, clips = programme(files, [5])

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sound, "_encode", full)
    with pytest.raises(StoreError, match="is full"):
        make(files, plan, clips)
    assert leftovers(files) == []


def test_a_full_disk_in_ffmpeg_is_the_stores_error(tmp_path):
    """FFmpeg's own complaint of a full disk becomes the same error."""
    command = ["/bin/sh", "-c", "echo 'x: No space left on device' >&2; exit 1"]

    with pytest.raises(StoreError, match="is full"):
        encoder.run(command, tmp_path / "out.mp4", memoryview(bytes(10**7)), env={})
