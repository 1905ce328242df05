"""Chunks of a clip under way, in a store: `s2v_model.contract.Chunks` over partial/<fingerprint>/<chunk>.safetensors.

In: arrays. Out: the same arrays, or none of a chunk that is damaged. Knows nothing of what they mean.
"""

import hashlib
import logging
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tasks.domain.errors import StoreError
from tasks.engines.stores import Store

MAX_AGE_DAYS = 7
"""Chunks that nobody has gone on with for so long are swept."""
_MAX_CHUNK_BYTES = 4 << 30

_log = logging.getLogger(__name__)


class StoredChunks:
    """The chunks of one clip. One writer at a time is meant; two only do the same work twice."""

    def __init__(self, store: Store, fingerprint: str, scratch: Path) -> None:
        """scratch: a folder for files on their way, made when it is needed."""
        self._store, self._fingerprint, self._scratch = store, fingerprint, scratch

    def load(self) -> list[dict[str, np.ndarray]]:
        """As `Chunks.load`; ends before a chunk that is missing or damaged."""
        kept: list[dict[str, np.ndarray]] = []
        while (arrays := self._read(self._key(len(kept)))) is not None:
            kept.append(arrays)
        return kept

    def save(self, index: int, arrays: Mapping[str, np.ndarray]) -> None:
        """As `Chunks.save`."""
        whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        path = self._new()
        try:
            save_file(whole, path, metadata={"sha256": _digest(whole)})
            self._store.put(self._key(index), path, "application/octet-stream")
        except OSError as error:
            raise StoreError(
                f"chunk {index} could not be written to {path.parent} ({error.strerror or error})."
            ) from error
        finally:
            path.unlink(missing_ok=True)

    def drop(self) -> None:
        """Forget all of them; the first one last, because it tells whether there are any."""
        if self._store.stat(self._key(0)) is None:
            return
        keys = [stored.key for stored in self._store.list(f"partial/{self._fingerprint}/")]
        for key in sorted(keys, key=lambda key: key == self._key(0)):
            self._store.delete(key)

    def _read(self, key: str) -> dict[str, np.ndarray] | None:
        stored = self._store.stat(key)
        if stored is None or stored.size > _MAX_CHUNK_BYTES:
            return None
        path = self._new()
        try:
            if not self._store.fetch(key, path):
                return None
            with safe_open(path, framework="numpy") as file:
                arrays: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                told = (file.metadata() or {}).get("sha256")
        except SafetensorError as error:
            _log.warning("%s is damaged, and made anew: %s", self._store.address(key), error)
            return None
        finally:
            path.unlink(missing_ok=True)
        if told != _digest(arrays):
            _log.warning("%s is damaged, and made anew", self._store.address(key))
            return None
        return arrays

    def _key(self, index: int) -> str:
        return f"partial/{self._fingerprint}/{index}.safetensors"

    def _new(self) -> Path:
        self._scratch.mkdir(parents=True, exist_ok=True)
        return self._scratch / f"{uuid.uuid4().hex}.safetensors"


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and numbers: the format itself has no checksum."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
