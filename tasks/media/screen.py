"""The programme's picture, frame after frame: cuts, layouts and clips become one I420 canvas.

In: a plan, where each shot's clip lies, a size. Out: exactly `plan.num_frames` painted canvases, in order, and where
every clip stands. One cut's clips are open at a time, so memory does not grow with the programme.
Knows no FFmpeg, no sound and no text.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from tasks.domain.editing import Cut, Plan, Shot
from tasks.domain.errors import MediaError
from tasks.domain.timing import native_index
from tasks.media.canvas import Canvas, Picture, Window
from tasks.media.clips import ClipReader
from tasks.media.layout import Placement, Rect, panels, place


def placements(
    cut: Cut, shots: Mapping[str, Shot], size: tuple[int, int], texts: int | None = None
) -> tuple[Placement, ...]:
    """Where the clips of a cut stand on an output, in the order of `cut.shots`; none for a card.

    texts: the row from which on captions may lie over the picture.
    """
    if not cut.shots:
        return ()
    rooms = panels(len(cut.shots), *size)
    if len({room.y for room in rooms}) > 1:
        texts = None  # between rows they have a place of their own
    return tuple(_placement(shots[shot_id], room, texts) for shot_id, room in zip(cut.shots, rooms, strict=True))


def _placement(shot: Shot, room: Rect, texts: int | None) -> Placement:
    framing = shot.framing
    has_face = framing.face_box[2] > 0 and framing.face_box[3] > 0
    return place(framing.width, framing.height, framing.face_box if has_face else None, room, texts)


def frames(
    plan: Plan,
    sources: Mapping[str, Path],
    size: tuple[int, int],
    span: range | None = None,
    *,
    texts: int | None = None,
) -> Iterator[Canvas]:
    """The canvas, painted for each frame of `span` in turn (all frames without it); always the same object.

    sources: by shot id. texts: as for `placements`. Raises MediaError for a clip that is damaged or too short.
    """
    wanted = range(plan.num_frames) if span is None else span
    canvas = Canvas(*size)
    shots = {shot.id: shot for shot in plan.shots}
    for cut in plan.cuts:
        part = range(max(wanted.start, cut.start_frame), min(wanted.stop, cut.end_frame))
        if not part:
            continue
        with ExitStack() as stack:
            players = _players(canvas, cut, shots, sources, stack, texts)
            for frame in part:
                for player in players:
                    player.paint(frame, plan)
                yield canvas


def _players(
    canvas: Canvas,
    cut: Cut,
    shots: Mapping[str, Shot],
    sources: Mapping[str, Path],
    stack: ExitStack,
    texts: int | None,
) -> list["_Player"]:
    """The clips of a cut, opened on `stack`, over a canvas that is painted with what lies behind them."""
    if len(cut.shots) in (1, 2, 3):
        canvas.clear()
    else:
        # A card, or a grid, which may leave cells empty.
        canvas.card()
    places = placements(cut, shots, (canvas.width, canvas.height), texts)
    return [
        _Player(canvas, shots[shot_id], placement, stack.enter_context(_reader(shots[shot_id], sources)))
        for shot_id, placement in zip(cut.shots, places, strict=True)
    ]


def _reader(shot: Shot, sources: Mapping[str, Path]) -> ClipReader:
    return ClipReader(sources[shot.id], f"the clip of shot {shot.id} ({shot.fingerprint[:12]})")


class _Player:
    """One clip of a cut, painted at the programme's rate."""

    def __init__(self, canvas: Canvas, shot: Shot, placement: Placement, reader: ClipReader) -> None:
        self._shot, self._reader = shot, reader
        self._window = Window(canvas, placement)
        self._shown = -1

    def paint(self, frame: int, plan: Plan) -> None:
        """Show what the clip shows at programme frame `frame`; a native frame that lasts is painted once."""
        index = native_index(frame - self._shot.start_frame, self._shot.rate, plan.rate)
        if index == self._shown:
            return
        picture = self._reader.frame(index)
        if self._shown < 0:
            self._check_size(picture)
            self._window.open(picture)
        self._window.show(picture)
        self._shown = index

    def _check_size(self, picture: Picture) -> None:
        """Raise MediaError for a clip of another size than planned: its face would not be where we think it is."""
        framing, (height, width) = self._shot.framing, picture.y.shape
        if (width, height) != (framing.width, framing.height):
            raise MediaError(
                f"the clip of shot {self._shot.id} is {width}x{height}, its plan says "
                f"{framing.width}x{framing.height}: remove it from the store, and it is made again."
            )
