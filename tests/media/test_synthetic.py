"""The helpers every test leans on: what they make is what they say, and the network is shut."""

import socket
from pathlib import Path

import av
import numpy as np
import pytest

from tests import synthetic


def test_the_same_seed_gives_the_same_sound_and_picture() -> None:
    """Two calls with one seed agree to the bit; another seed gives something else."""
    assert np.array_equal(synthetic.speech_like(2, 3), synthetic.speech_like(2, 3))
    assert not np.array_equal(synthetic.speech_like(2, 3), synthetic.speech_like(2, 4))
    assert np.array_equal(synthetic.portrait_like(1, 128), synthetic.portrait_like(1, 128))


def test_speech_like_has_pauses_and_no_clipping() -> None:
    """Between 10 and 50 % of the sound is silent, and its peak is one half."""
    speech = synthetic.speech_like(10, 0)
    blocks = np.abs(speech[: len(speech) // 800 * 800].reshape(-1, 800)).max(axis=1)
    assert 0.1 < (blocks < 0.01).mean() < 0.5
    assert np.abs(speech).max() == pytest.approx(0.5)


def test_a_movie_has_the_frames_and_the_sound_it_was_given(tmp_path: Path) -> None:
    """`write_movie` writes so many frames and one audio track."""
    path = synthetic.write_movie(tmp_path / "movie.mp4", num_frames=10, speech=synthetic.speech_like(0.4, 0))
    with av.open(str(path)) as file:
        assert sum(1 for _ in file.decode(video=0)) == 10
        assert len(file.streams.audio) == 1


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.org", 80)])
def test_a_test_cannot_leave_this_machine(address: tuple[str, int]) -> None:
    """Connecting to anything but loopback raises at once."""
    with pytest.raises(RuntimeError, match=r"tests (stay|know)"):
        socket.create_connection(address, timeout=1)


def test_loopback_is_open() -> None:
    """A socket on 127.0.0.1 can be reached."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), timeout=1):
        pass
