"""What this machine's settings decide for an episode: engines with the digests of their weights, and finish.

Knows no Prefect.
"""

from datetime import date

from flows.pipeline import Choices
from flows.wiring import Wiring
from tasks.domain.episode import Episode
from tasks.domain.options import MarkingOptions, SoundOptions


def choices_for(episode: Episode, wiring: Wiring) -> Choices:
    """What this machine's settings decide for an episode, resolved once a run."""
    settings = wiring.settings
    return Choices(
        heard_by=(wiring.voice_id,) if episode.kind == "script" else (wiring.diarizer_id, wiring.transcriber_id),
        renderer=wiring.traits,
        scenes=wiring.scene_traits if episode.kind == "script" else None,
        sound=SoundOptions(loudness_lufs=settings.sound.loudness_lufs, true_peak_dbtp=settings.sound.true_peak_dbtp),
        marking=MarkingOptions(label="" if settings.marking.unmarked else settings.marking.label),
        require_consent=settings.require_consent,
        today=date.today().isoformat(),
    )
