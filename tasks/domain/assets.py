"""Asset: a name for bytes. Never a path, never a URL."""

import re
from dataclasses import dataclass

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """Bytes, named by their content. Where they lie is the workspace's business."""

    sha256: str
    """64 lower-case hexadecimal digits."""
    size: int
    """Bytes."""
    extension: str
    """With its dot: ".mp4"."""

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"not a SHA-256 digest: {self.sha256!r}")

    @property
    def key(self) -> str:
        """Its place in a store."""
        return f"assets/{self.sha256[:2]}/{self.sha256}{self.extension}"
