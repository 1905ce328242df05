"""What a recording is found to hold, and what is refused before anything is written."""

import contextlib
import json
import os
import tarfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from s2v_model.contract import Stopped
from tasks.domain.errors import RecordingError
from tasks.media import container
from tasks.media.container import MediaLimits, clean_text
from tasks.media.probe import probe
from tests.synthetic import speech_like, tone, write_compressed, write_movie, write_wav

REFUSED = {
    "video_no_audio.mp4": "film without sound",
    "wav_raw_no_header.wav": "no audio or video format",
    "zero_bytes.wav": "empty",
    "header_only.wav": "no samples",
    "html_error_page.mp3": "web page",
    "picture.wav": "picture",
    "protected.m4p": "protected or damaged",
    "hls_local_file.m3u8": "playlist",
    "hls_in_video.mp4": "playlist",
    "concat_list.ffconcat": "playlist",
    "playlist.pls": "playlist",
    "nasty_names.tar.xz": "archive",
    "zip_slip.zip": "archive",
}
WARNED = {
    "two_audio_tracks.mkv": r"2 audio tracks; number 2 is used \(opus ita, marked as default\)",
    "truncated.mp3": r"cut off: 12.0 s are announced, 7.2 s are there",
    "bitrot.mp3": "damaged: 2 of its packets",
    "ogg_truncated.ogg": "end mark is missing",
    "clipped.flac": "clipped",
    "dc_offset.flac": "DC offset",
    "very_quiet.flac": "very quiet",
    "silence_20s.flac": "silent from end to end",
    "stereo_left_silent.flac": r"only channel 2 of 2 \(right\)",
    "surround_5_1_center_only.flac": r"only channel 3 of 6 \(centre\)",
}


def media_cases(shared: Path) -> list[dict]:
    return json.loads((shared / "media_bad" / "cases.json").read_text())


@pytest.mark.data
def test_every_bad_recording_does_what_its_case_says(shared_data: Path) -> None:
    """Refused files are refused with their reason; the others have their true length and the expected warnings."""
    for case in media_cases(shared_data):
        path = shared_data / case["file"]
        if path.name in REFUSED:
            with pytest.raises(RecordingError, match=REFUSED[path.name]) as refusal:
                probe(path)
            assert path.name in str(refusal.value)
            continue
        facts = probe(path)
        if "true_duration" in case:
            # AAC in MPEG-TS says nothing of its filling: up to two blocks of 1024 at 16 kHz.
            assert float(facts.duration) == pytest.approx(case["true_duration"], abs=0.13), path.name
        wanted = WARNED.get(path.name)
        assert bool(facts.warnings) == bool(wanted), (path.name, facts.warnings)
        if wanted:
            with pytest.raises(AssertionError, match=wanted):
                raise AssertionError(" ".join(facts.warnings))


@pytest.mark.data
def test_nothing_outside_the_file_is_opened(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No content makes the reader ask for another file or address, and no protocol would answer."""
    asked: list[str] = []
    monkeypatch.setattr(container, "_refuse_other_files", lambda url, *_: asked.append(url))
    for case in media_cases(shared_data):
        with contextlib.suppress(RecordingError):
            probe(shared_data / case["file"])
    assert asked == []


@pytest.mark.data
def test_no_name_is_an_option_a_pattern_or_a_protocol(shared_data: Path, tmp_path: Path) -> None:
    """Twenty-seven hostile file names: each holds the same 12 seconds, whatever it is called."""
    with tarfile.open(shared_data / "media_bad" / "nasty_names.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    paths = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(paths) == 27
    for path in paths:
        assert float(probe(path).duration) == pytest.approx(12.0, abs=0.02)


@pytest.mark.data
def test_a_long_title_is_cut_and_tags_are_only_text(shared_data: Path) -> None:
    """A title of 1.5 MB becomes one line of 200 characters; markup in tags stays text."""
    assert len(probe(shared_data / "media_bad" / "id3_1_5MB_title.mp3").title or "") == 200
    assert "\n" not in (probe(shared_data / "media_bad" / "hostile_tags.mp3").title or "")


def test_pipes_folders_and_missing_files_are_refused_at_once(tmp_path: Path) -> None:
    """A pipe without a writer does not make anybody wait."""
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(RecordingError, match="no ordinary file"):
        probe(tmp_path / "pipe.wav")
    with pytest.raises(RecordingError, match="no ordinary file"):
        probe(tmp_path)
    with pytest.raises(RecordingError, match="cannot be opened"):
        probe(tmp_path / "missing.wav")


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (MediaLimits(max_bytes=1000), "GiB"),
        (MediaLimits(max_duration=Fraction(1)), "hours"),
        (MediaLimits(max_channels=0), "channels"),
        (MediaLimits(max_streams=0), "streams"),
    ],
)
def test_each_limit_is_named_when_it_is_passed(tmp_path: Path, limits: MediaLimits, reason: str) -> None:
    """Bytes, duration, channels and streams have limits with names."""
    path = write_wav(tmp_path / "long.wav", tone(2, 440))
    with pytest.raises(RecordingError, match=reason):
        probe(path, limits=limits)


def test_a_huge_sparse_recording_is_refused_without_being_read(tmp_path: Path) -> None:
    """5 GB of zeros behind a streaming header are 43 hours: too long, and said within a second."""
    path = write_wav(tmp_path / "huge.wav", tone(0.1, 440))
    header = bytearray(path.read_bytes()[:44])
    header[4:8] = header[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(bytes(header))
    os.truncate(path, 5 * 2**30)
    with pytest.raises(RecordingError, match=r"46\.\d hours|hours"):
        probe(path)


def test_reading_that_leads_nowhere_ends(tmp_path: Path) -> None:
    """A reader that gets no further, or goes round in the file, is stopped by its limits."""
    path = write_wav(tmp_path / "a.wav", tone(2, 440))
    with pytest.raises(RecordingError, match="does not come to an end"):
        probe(path, limits=MediaLimits(stall_seconds=-1.0))


def test_the_length_comes_from_the_samples(tmp_path: Path) -> None:
    """A header that announces more, or less, than is there gets a warning, and the content counts."""
    path = write_wav(tmp_path / "a.wav", tone(3, 440))
    whole = path.read_bytes()
    path.write_bytes(whole[: 44 + 2 * 16000])
    facts = probe(path)
    assert facts.duration == 1
    assert "96044 bytes are announced, 32044 are there; their 1.0 s are used" in facts.warnings[0]


def test_a_watch_can_stop_the_reading(tmp_path: Path) -> None:
    """What `watch` raises ends the pass at the next second of sound."""

    def stop(done: float, total: float) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        probe(write_wav(tmp_path / "a.wav", tone(5, 440)), watch=stop)


def test_sound_that_starts_late_in_a_film_keeps_its_place(tmp_path: Path) -> None:
    """A film's sound is as long as it is; video frames are not decoded."""
    facts = probe(write_movie(tmp_path / "film.mp4", num_frames=50, speech=speech_like(2.0, 1)))
    assert facts.num_video_streams == 1
    assert float(facts.duration) == pytest.approx(2.0, abs=0.13)


def test_a_float_recording_of_nonsense_stays_finite(tmp_path: Path) -> None:
    """NaN, infinities and absurd values are taken for silence or cut, and never reach the levels."""
    path = tmp_path / "nan.wav"
    samples = np.tile(np.array([np.nan, np.inf, -np.inf, 1e30, 0.1], np.float32), 4000)
    header = write_wav(path, np.zeros(4, np.int16)).read_bytes()[:44]
    header = header[:20] + (3).to_bytes(2, "little") + header[22:28] + (64000).to_bytes(4, "little")
    header += (4).to_bytes(2, "little") + (32).to_bytes(2, "little") + b"data" + samples.nbytes.to_bytes(4, "little")
    path.write_bytes(header + samples.tobytes())
    levels = probe(path).levels
    assert np.isfinite(levels.level_dbfs).all()
    assert max(levels.peak) <= 4.0


def test_tags_become_one_printable_line() -> None:
    """Control marks and line breaks become blanks, empty tags become None."""
    assert clean_text("a\nb\x00\u202ec  d") == "a b c d"
    assert clean_text("\n\t") is None
    assert clean_text("x" * 300, 10) == "x" * 9 + "…"


@pytest.mark.parametrize("seed", range(48))
def test_random_damage_ends_in_facts_or_in_one_sentence(tmp_path: Path, seed: int) -> None:
    """Bytes turned over, cut or doubled in a recording raise nothing but RecordingError."""
    generator = np.random.default_rng(seed)
    path = tmp_path / ("film.mp4", "talk.wav", "talk.flac", "talk.ogg", "talk.ts", "talk.mp3")[seed % 6]
    if path.suffix == ".mp4":
        write_movie(path, num_frames=10, speech=speech_like(0.5, 1))
    elif path.suffix == ".wav":
        write_wav(path, speech_like(0.5, 1))
    else:
        write_compressed(path, speech_like(0.5, 1))
    content = bytearray(path.read_bytes())
    for place in generator.integers(0, len(content) if seed % 3 else 300, 10):
        content[place] = generator.integers(256)
    if seed % 5 == 0:
        content = content[: len(content) // 2] * 2
    path.write_bytes(bytes(content))
    with contextlib.suppress(RecordingError):
        assert probe(path).duration > 0
