"""Who spoke when: what the stage asks of a diarizer, and how tracks tell speech from what bleeds into them."""

from dataclasses import replace

import numpy as np
import pytest

from tasks import diarize
from tasks.domain.errors import RecordingError
from tasks.domain.options import EngineId
from tests.fakes import KnownTurns, LoudBlocks
from tests.staging import Bench, loud, turn

BY = EngineId(role="diarizer", name="known", version="1")


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench(tmp_path, activity=LoudBlocks())


def listened(bench: Bench, **tracks: np.ndarray) -> list[tuple[str, float, float]]:
    """The turns of some tracks, in seconds."""
    recorded = tuple((name, bench.recording(samples)) for name, samples in tracks.items())
    turns = bench.run(diarize.listen, recorded, BY)
    return [(t.speaker, float(t.span.start), float(t.span.end)) for t in turns]


def test_the_engine_is_given_the_hint_and_its_turns_pass(bench):
    """What the diarizer says is what comes out, and it knows how many speakers a person expects."""
    known = (turn("S1", 0.1, 1), turn("S2", 0.9, 1.5))
    bench.engines["diarizer"] = engine = KnownTurns(known)

    assert bench.run(diarize.diarize, bench.recording(loud(2)), 3, BY) == known
    assert engine.hints == [3]


def test_a_recording_without_speech_is_named(bench):
    """No turn is an error of the recording, by its title."""
    bench.engines["diarizer"] = KnownTurns(())

    with pytest.raises(RecordingError, match=r"Rain: there is no speech in it\. Supply a recording with speech"):
        bench.run(diarize.diarize, bench.recording(loud(1), title="Rain"), None, BY)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(0.2, 1.0)], [(0.2, 1.0)]),
        ([(0.2, 1.0), (1.2, 2.0)], [(0.2, 2.0)]),
        ([(0.2, 1.0), (1.4, 2.0)], [(0.2, 1.0), (1.4, 2.0)]),
        ([(0.2, 0.3), (1.0, 2.0)], [(1.0, 2.0)]),
        ([(0.2, 0.3), (0.4, 0.5), (1.5, 2.0)], [(0.2, 0.5), (1.5, 2.0)]),
    ],
    ids=["one", "a short pause is closed", "a long one is not", "a click is dropped", "pauses close before clicks go"],
)
def test_speech_in_a_track_becomes_turns(bench, spans, expected):
    """Runs of speech, with pauses under 0.3 s closed and what is shorter than 0.2 s dropped."""
    assert listened(bench, anna=loud(2.5, *spans)) == [("anna", *span) for span in expected]


@pytest.mark.parametrize(
    ("bleed_db", "expected"),
    [(-20, [("anna", 0.2, 1.0)]), (-8, [("anna", 0.2, 1.0)]), (-3, [("anna", 0.2, 1.0), ("ben", 0.2, 1.0)])],
)
def test_what_bleeds_into_a_track_is_nobodys(bench, bleed_db, expected):
    """A voice 8 dB below a track's own level is the neighbour's where that one speaks; 3 dB below, both speak."""
    anna = loud(3, (0.2, 1.0), level=0.1)
    ben = loud(3, (1.5, 2.5), level=0.1, seed=1) + anna * np.float32(10 ** (bleed_db / 20))

    assert listened(bench, anna=anna, ben=ben) == [*expected, ("ben", 1.5, 2.5)]


def test_a_quiet_track_counts_by_its_own_level(bench):
    """Somebody who was recorded 20 dB lower is heard, even while the other one talks."""
    anna, ben = loud(2, (0.2, 1.8), level=0.2), loud(2, (0.6, 1.2), level=0.02, seed=1)

    assert listened(bench, anna=anna, ben=ben) == [("anna", 0.2, 1.8), ("ben", 0.6, 1.2)]


def test_a_track_that_ends_early_is_silent_from_there(bench):
    """Tracks need not be of one length; turns come in order of start."""
    found = listened(bench, anna=loud(3, (2.0, 2.8)), ben=loud(1, (0.2, 0.8), seed=1))

    assert found == [("ben", 0.2, 0.8), ("anna", 2.0, 2.8)]


def test_tracks_without_speech_are_refused(bench):
    """Silence in all of them is an error of the recording."""
    with pytest.raises(RecordingError, match="no speech"):
        listened(bench, anna=loud(1), ben=loud(1))


def test_speech_is_counted_in_seconds(bench):
    """To 10 ms, pauses left out."""
    assert bench.run(diarize.speech_seconds, bench.recording(loud(3, (0.2, 1.0), (2.0, 2.5)))) == 1.3


def test_a_key_changes_with_what_the_turns_depend_on(bench):
    """Sound, hint and engine make other keys; a title and warnings do not."""
    recording, other = bench.recording(loud(1, (0, 0.5))), bench.recording(loud(1, (0, 0.6)))
    known = diarize.key(recording, None, BY)
    changed = {
        diarize.key(other, None, BY),
        diarize.key(recording, 2, BY),
        diarize.key(recording, None, replace(BY, weights="1f")),
        diarize.key(recording, None, replace(BY, version="2")),
    }
    tracks = diarize.listen_key((("anna", recording),), BY)
    changed_tracks = {
        diarize.listen_key((("ben", recording),), BY),
        diarize.listen_key((("anna", other),), BY),
        diarize.listen_key((("anna", recording), ("ben", other)), BY),
        diarize.listen_key((("anna", recording),), replace(BY, version="2")),
    }

    assert len(changed) == len(changed_tracks) == 4
    assert known not in changed
    assert tracks not in changed_tracks
    assert diarize.key(replace(recording, title="x", warnings=("y",)), None, BY) == known
