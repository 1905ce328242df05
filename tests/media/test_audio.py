"""Recordings become driving speech and a master: exact length, right channels, flat memory, nothing half-written."""

import errno
import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from s2v_model.contract import Stopped
from tasks.domain.errors import MediaError, RecordingError, StoreError
from tasks.media import audio, wav
from tasks.media.audio import FlacWriter, decode_recording, read_blocks
from tasks.media.levels import LevelMeter, choose_mix
from tasks.media.wav import num_speech_samples, read_speech, read_speech_pcm, wav_facts, write_wav
from tests.synthetic import speech_like, tone
from tests.synthetic import write_wav as write_any_wav


def decoded(path: Path, folder: Path):
    facts = decode_recording(path, speech_out=folder / "speech.wav", master_out=folder / "master.flac")
    master = np.concatenate(list(read_blocks(folder / "master.flac")), axis=1)
    return facts, read_speech(folder / "speech.wav"), master


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_becomes_16_and_48_khz_of_exact_length(tmp_path: Path, rate: int, channels: int) -> None:
    """Both outputs last as long as the recording, to a sample, and keep its level and its place in time."""
    sound = np.zeros(rate * 2 + 7, np.float32)
    sound[rate : rate + rate // 2] = tone(0.5, 300, rate)
    stereo = np.stack([sound, 0.5 * sound], axis=1) if channels == 2 else sound
    facts, speech, master = decoded(write_any_wav(tmp_path / "in.wav", stereo, rate), tmp_path)
    assert facts.duration == Fraction(len(sound), rate)
    assert len(speech) == facts.num_speech_samples == -(-len(sound) * 16_000 // rate)
    assert master.shape == (channels, -(-len(sound) * 48_000 // rate))
    assert np.abs(master[0, 50_000:70_000]).max() == pytest.approx(0.5, abs=0.02)
    onset = int(np.argmax(np.abs(speech) > 0.05))
    assert abs(onset - 16_000) < 16


def test_a_16_khz_recording_comes_through_unchanged(tmp_path: Path) -> None:
    """Driving speech of a 16 kHz s16 recording is that recording, bit for bit."""
    pcm = (speech_like(3, 5) * 32767).astype(np.int16)
    decoded(write_any_wav(tmp_path / "in.wav", pcm), tmp_path)
    assert np.array_equal(read_speech_pcm(tmp_path / "speech.wav"), pcm)


def test_the_same_recording_gives_the_same_bytes(tmp_path: Path) -> None:
    """No date, no version: equal input, equal files."""
    source = write_any_wav(tmp_path / "in.wav", speech_like(2, 1, 44_100), 44_100)
    decoded(source, tmp_path)
    first = (tmp_path / "speech.wav").read_bytes(), (tmp_path / "master.flac").read_bytes()
    decoded(source, tmp_path)
    assert first == ((tmp_path / "speech.wav").read_bytes(), (tmp_path / "master.flac").read_bytes())


@pytest.mark.parametrize("side", [0, 1])
def test_one_sided_stereo_is_taken_from_the_side_that_speaks(tmp_path: Path, side: int) -> None:
    """A silent channel neither halves the level nor wins; the master is mono."""
    speech = speech_like(2, 1)
    stereo = np.zeros((len(speech), 2), np.float32)
    stereo[:, side] = speech
    facts, heard, master = decoded(write_any_wav(tmp_path / "in.wav", stereo), tmp_path)
    assert master.shape[0] == 1
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.01)
    assert f"only channel {side + 1} of 2" in facts.facts.warnings[0]


def test_opposed_channels_do_not_cancel(tmp_path: Path) -> None:
    """Where left is minus right, one of them is used and the warning says which."""
    speech = speech_like(2, 1)
    facts, heard, _ = decoded(write_any_wav(tmp_path / "in.wav", np.stack([speech, -speech], axis=1)), tmp_path)
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.01)
    assert "opposite phase" in facts.facts.warnings[0]


def test_two_voices_on_two_channels_are_both_heard(tmp_path: Path) -> None:
    """A call with one person a side keeps its stereo master; the driving speech is the mean of both."""
    left, right = speech_like(2, 1), speech_like(2, 2)
    _, heard, master = decoded(write_any_wav(tmp_path / "in.wav", np.stack([left, right], axis=1)), tmp_path)
    assert master.shape[0] == 2
    assert heard == pytest.approx((left + right) / 2, abs=1e-3)


def surround(levels: list[float], names: tuple[str, ...]):
    meter = LevelMeter(len(levels))
    noise = np.random.default_rng(0).standard_normal((len(levels), 16_000)).astype(np.float32) * 0.1
    meter.add(noise * np.array(levels, np.float32)[:, None])
    return choose_mix(meter.levels(), names)


SURROUND = ("FL", "FR", "FC", "LFE", "SL", "SR")


def test_the_centre_of_surround_sound_is_the_speech() -> None:
    """Where the centre talks, speech is the centre alone, and the master is two channels of everything but the bass."""
    mix = surround([0.5, 0.5, 1, 1, 0.2, 0.2], SURROUND)
    assert mix.speech == (0, 0, 1, 0, 0, 0)
    assert len(mix.master) == 2
    assert all(row[3] == 0 for row in mix.master)


def test_surround_sound_without_a_centre_mixes_all() -> None:
    """Where the centre is silent, speech comes from the others."""
    mix = surround([1, 1, 0, 0, 0.5, 0.5], SURROUND)
    assert mix.speech[2] >= 0
    assert mix.speech[0] == mix.speech[1] > 0


def test_channels_without_names_are_averaged_where_they_sound() -> None:
    """A multi-track recorder's silent channels do not lower the others."""
    mix = surround([1, 1, 0, 0], ("0", "1", "2", "3"))
    assert mix.speech == (0.5, 0.5, 0, 0)


def test_a_very_quiet_recording_is_raised_for_the_engines_only(tmp_path: Path) -> None:
    """Speech 50 dB down comes out at a usable level; the master keeps the recording's own, in 24 bits."""
    facts, heard, master = decoded(write_any_wav(tmp_path / "in.wav", speech_like(3, 1) * 0.003), tmp_path)
    assert 0.1 < np.abs(heard).max() <= 0.72
    assert np.abs(master).max() == pytest.approx(0.0015, rel=0.1)
    assert any("very quiet" in warning for warning in facts.facts.warnings)


def test_an_offset_is_taken_out(tmp_path: Path) -> None:
    """A DC offset of 0.4 reaches neither output."""
    _, heard, master = decoded(write_any_wav(tmp_path / "in.wav", speech_like(3, 1) * 0.5 + 0.4), tmp_path)
    assert abs(heard.mean()) < 1e-3
    assert abs(master.mean()) < 1e-3


def test_stopping_leaves_no_file(tmp_path: Path) -> None:
    """A stop in the second pass removes what was begun."""

    def stop_late(done: float, total: float) -> None:
        if done > total * 0.6:
            raise Stopped

    source = write_any_wav(tmp_path / "in.wav", tone(20, 440))
    with pytest.raises(Stopped):
        decode_recording(
            source, speech_out=tmp_path / "speech.wav", master_out=tmp_path / "master.flac", watch=stop_late
        )
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    """Four times as much sound takes no more of Python's memory."""

    def peak(seconds: int) -> int:
        write_wav(tmp_path / "in.wav", (tone(1, 440) for _ in range(seconds)))
        tracemalloc.start()
        decode_recording(tmp_path / "in.wav", speech_out=tmp_path / "s.wav", master_out=tmp_path / "m.flac")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(100) < 1.2 * peak(25)


def test_a_cut_of_speech_reads_only_itself(tmp_path: Path) -> None:
    """Any span can be read; beyond the ends is silence; the length is what was asked for."""
    pcm = np.arange(1000, dtype=np.int16)
    write_wav(tmp_path / "s.wav", pcm)
    assert num_speech_samples(tmp_path / "s.wav") == 1000
    assert np.array_equal(read_speech_pcm(tmp_path / "s.wav", 10, 20), pcm[10:20])
    beyond = read_speech_pcm(tmp_path / "s.wav", -5, 1005)
    assert len(beyond) == 1010
    assert not beyond[:5].any()
    assert not beyond[-5:].any()
    assert read_speech(tmp_path / "s.wav", 500, 501)[0] == np.float32(500 / 32768)


@pytest.mark.parametrize("damage", [b"", b"RIFF", b"x" * 100])
def test_a_foreign_wav_is_not_taken_for_ours(tmp_path: Path, damage: bytes) -> None:
    """Only files of our own header are read this way."""
    (tmp_path / "s.wav").write_bytes(damage)
    with pytest.raises(MediaError, match="no WAV of ours"):
        wav_facts(tmp_path / "s.wav")


def test_a_master_is_written_in_blocks_and_read_back(tmp_path: Path) -> None:
    """FLAC keeps every sample of 16 bits."""
    blocks = [np.stack([tone(0.5, 200, 48_000), tone(0.5, 300, 48_000)])] * 3
    with FlacWriter(tmp_path / "m.flac", 48_000, 2) as file:
        for block in blocks:
            file.write(block)
    assert file.num_samples == 72_000
    read = np.concatenate(list(read_blocks(tmp_path / "m.flac")), axis=1)
    assert read == pytest.approx(np.concatenate(blocks, axis=1), abs=1e-4)


def test_a_sound_of_ours_that_is_damaged_is_no_fault_of_a_recording(tmp_path: Path) -> None:
    """A master or a line that cannot be read is a MediaError: nobody can mend it by exporting his recording again."""
    (tmp_path / "line.wav").write_bytes(b"no sound at all" * 100)
    with pytest.raises(MediaError, match=r"line\.wav cannot be read: .* Remove it; run again\."):
        list(read_blocks(tmp_path / "line.wav"))


def test_a_folder_that_is_not_there_is_a_store_error(tmp_path: Path) -> None:
    """The disk's refusal ends in one sentence."""
    source = write_any_wav(tmp_path / "in.wav", tone(1, 440))
    with pytest.raises(StoreError, match="cannot be written"):
        decode_recording(source, speech_out=tmp_path / "s.wav", master_out=tmp_path / "none" / "m.flac")
    with pytest.raises(StoreError, match="cannot be written"):
        decode_recording(source, speech_out=tmp_path / "none" / "s.wav", master_out=tmp_path / "m.flac")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.wav"]


def test_a_full_disk_is_said_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space left: StoreError, and neither of the two files is there, whole or half."""
    source = write_any_wav(tmp_path / "in.wav", tone(1, 440))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for module in (audio, wav):
        with monkeypatch.context() as patch:
            patch.setattr(module.os, "replace", full)
            with pytest.raises(StoreError, match=r"is full: free some space"):
                decode_recording(source, speech_out=tmp_path / "s.wav", master_out=tmp_path / "m.flac")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in.wav"]


def test_a_hole_in_time_becomes_silence(tmp_path: Path) -> None:
    """Packets lost in the middle of a stream leave their place empty, so that what follows is not early."""
    path = tmp_path / "holes.mka"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for index in (0, 1, 3, 4):
            frame = av.AudioFrame.from_ndarray(tone(1, 440)[None, :], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16_000, index * 16_000
            for packet in stream.encode(frame):
                file.mux(packet)
        file.mux(stream.encode(None))
    facts, heard, _ = decoded(path, tmp_path)
    assert float(facts.duration) == pytest.approx(5, abs=0.01)
    assert not heard[33_000:47_000].any()
    assert heard[50_000:60_000].any()
    assert any("1.0 s are missing" in warning for warning in facts.facts.warnings)


@pytest.mark.parametrize("is_stereo_first", [False, True])
def test_an_inserted_advertisement_of_another_rate_fits_in(tmp_path: Path, is_stereo_first: bool) -> None:
    """MP3s of two rates and channel counts, one behind the other: full length, same pitch and level, a warning."""
    parts = []
    for name, rate, layout in (("a.mp3", 44_100, "stereo"), ("b.mp3", 22_050, "mono")):
        with av.open(str(tmp_path / name), "w") as file:
            stream = file.add_stream("libmp3lame", rate=rate, layout=layout)
            sound = np.stack([tone(3, 300, rate)] * (2 if layout == "stereo" else 1))
            frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout=layout)
            frame.sample_rate = rate
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        parts.append((tmp_path / name).read_bytes())
    (tmp_path / "in.mp3").write_bytes(b"".join(parts if is_stereo_first else parts[::-1]))
    facts, heard, _ = decoded(tmp_path / "in.mp3", tmp_path)
    assert float(facts.duration) == pytest.approx(6, abs=0.2)
    assert any("changes on the way" in warning for warning in facts.facts.warnings)
    for second in (1, 4):
        cut = heard[second * 16_000 : (second + 1) * 16_000]
        assert np.argmax(np.abs(np.fft.rfft(cut))) == 300
        assert np.abs(cut).max() == pytest.approx(0.5, abs=0.04)


@pytest.mark.data
def test_a_phone_call_in_stereo_keeps_both_voices(shared_data: Path, tmp_path: Path) -> None:
    """A real call with one person a side: two channels in the master, both in the driving speech."""
    facts, heard, master = decoded(shared_data / "conversations" / "call_auto_repairs_40_stereo.opus", tmp_path)
    assert master.shape[0] == 2
    assert np.std(heard) > 0.25 * np.std(master)
    assert facts.facts.warnings == ()


def test_an_empty_file_writes_nothing(tmp_path: Path) -> None:
    """A refused recording leaves no output."""
    (tmp_path / "in.wav").write_bytes(b"")
    with pytest.raises(RecordingError, match="empty"):
        decode_recording(tmp_path / "in.wav", speech_out=tmp_path / "s.wav", master_out=tmp_path / "m.flac")
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]
