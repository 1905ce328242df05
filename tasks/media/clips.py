"""Reads the frames of clips in order, one at a time, as planes of 4:2:0. In: a path. Out: `Picture`s.

Memory does not grow with the length of a clip. Knows no shots and no programme.
"""

from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np

from tasks.domain.errors import MediaError
from tasks.media.canvas import Picture, Plane

FORMAT = "yuv420p"


class ClipReader:
    """Frames of one clip by rising index. A context manager."""

    def __init__(self, path: Path, name: str) -> None:
        """name: what a person calls the clip, for messages. Raises MediaError where no video can be opened."""
        self._name, self._index = name, -1
        self._picture: Picture | None = None
        try:
            self._container: Any = av.open(str(path), format="mp4", options={"protocol_whitelist": "file"})
        except (av.error.FFmpegError, OSError) as error:
            raise MediaError(
                f"{name} cannot be opened ({error}): remove it from the store, and it is made again."
            ) from error
        if not self._container.streams.video:
            self._container.close()
            raise MediaError(f"{name} holds no picture: remove it from the store, and it is made again.")
        self._frames = self._decode()

    def __enter__(self) -> "ClipReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go; closing twice is fine."""
        self._picture = None
        self._frames.close()
        self._container.close()

    def frame(self, index: int) -> Picture:
        """Frame `index`, valid until the next call; never one before the last that was asked for.

        Raises MediaError where the clip is damaged or too short.
        """
        assert index >= self._index, f"{self._name} is read forwards, {index} comes before {self._index}"
        while self._index < index:
            picture = next(self._frames, None)
            if picture is None:
                raise MediaError(
                    f"{self._name} ends after {self._index + 1} frames, frame {index + 1} is needed: "
                    "remove it from the store, and it is made again."
                )
            self._picture = picture
            self._index += 1
        assert self._picture is not None
        return self._picture

    def _decode(self) -> Generator[Picture, None, None]:
        stream = self._container.streams.video[0]
        # One thread: a clip is small, and other work fills the other cores.
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        try:
            for frame in self._container.decode(stream):
                planar = frame if frame.format.name == FORMAT else frame.reformat(format=FORMAT)
                yield Picture(*(_plane(planar, index) for index in range(3)))
        except av.error.FFmpegError as error:
            raise MediaError(
                f"{self._name} is damaged at frame {self._index + 2} ({error}): "
                "remove it from the store, and it is made again."
            ) from error


def _plane(frame: Any, index: int) -> Plane:
    """Plane `index` of a frame, without a copy."""
    plane = frame.planes[index]
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]
