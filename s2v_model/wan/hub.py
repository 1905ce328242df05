"""Where a checkpoint comes from: a local folder, a Hugging Face id, a ModelScope id. Out: a local folder.

In: a source and a pinned revision. Downloads go on where they were cut off, show a progress bar, and are checked
against the digests that the hub states. Knows no tensor.
"""

import json
import logging
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from tqdm import tqdm

from s2v_model.contract import RendererMissing
from s2v_model.wan.digests import file_sha256

HUGGING_FACE = "https://huggingface.co"
MODELSCOPE = "https://modelscope.cn"
PATTERNS = (
    "*.json", "*.safetensors", "*.pth", "google/umt5-xxl/*", "wav2vec2-*/*.json", "wav2vec2-*/model.safetensors",
    "transformer/*", "vae/*", "text_encoder/*", "tokenizer/*", "audio_encoder/*",
)  # fmt: skip
"""What a renderer reads of a repository; the rest (samples, other formats of the same weights) stays there."""
NUM_TRIES = 5
TIMEOUT_SECONDS = 60
MAX_LISTING_BYTES = 16 << 20
_BLOCK_BYTES = 1 << 20
_ID = re.compile(r"(?:(hf|ms):)?([\w.-]+/[\w.-]+)")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hubs:
    """Where the hubs answer; tests put a loopback address here."""

    hugging_face: str = HUGGING_FACE
    modelscope: str = MODELSCOPE


def local_folder(source: str, revision: str, cache: Path, hubs: Hubs | None = None) -> Path:
    """The folder that holds `source`, downloaded into `cache` if it is a hub id.

    source: a folder; "owner/name" or "hf:owner/name" of Hugging Face; "ms:owner/name" of ModelScope.
    revision: commit or tag; a hub id needs one, because alone it means other weights tomorrow.
    Raises RendererMissing where there is no such folder, or the hub does not give the files.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    match = _ID.fullmatch(source)
    if match is None:
        raise RendererMissing(
            f"There are no weights at {source!r}. Name the folder of a checkpoint, or a hub id: "
            "Wan-AI/Wan2.2-S2V-14B (Hugging Face), ms:Wan-AI/Wan2.2-S2V-14B (ModelScope)."
        )
    if not revision:
        raise RendererMissing(f"{source} needs a revision: name the commit or tag of the weights that you mean.")
    hubs = hubs or Hubs()
    fetch = _from_modelscope if match[1] == "ms" else _from_hugging_face
    address = hubs.modelscope if match[1] == "ms" else hubs.hugging_face
    return fetch(match[2], revision, cache, address)


def _from_hugging_face(name: str, revision: str, cache: Path, address: str) -> Path:
    try:
        return Path(
            snapshot_download(
                name, revision=revision, cache_dir=cache / "hf", endpoint=address, allow_patterns=list(PATTERNS),
                tqdm_class=tqdm,
            )
        )  # fmt: skip
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise RendererMissing(f"{address} has no {name} at revision {revision!r}. Check both names.") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise RendererMissing(
            f"{name} could not be fetched from {address}: {_first_line(error)}. Try again: it goes on where it stopped."
        ) from error


def _from_modelscope(name: str, revision: str, cache: Path, address: str) -> Path:
    """ModelScope has no client among our packages; its file interface is two requests."""
    folder = cache / "ms" / name.replace("/", "--") / urllib.parse.quote(revision, safe="")
    base = f"{address}/api/v1/models/{name}/repo"
    query = urllib.parse.urlencode({"Revision": revision, "Recursive": "true"})
    listing = json.loads(_get(f"{base}/files?{query}", name))
    for entry in _wanted(listing, name):
        query = urllib.parse.urlencode({"Revision": revision, "FilePath": entry["Path"]})
        _download(f"{base}?{query}", folder / entry["Path"], int(entry["Size"]), entry.get("Sha256") or "")
    return folder


def _wanted(listing: Any, name: str) -> list[dict[str, Any]]:
    """The files of a listing that match PATTERNS. A path that leaves the folder is refused."""
    try:
        files = [entry for entry in listing["Data"]["Files"] if entry["Type"] == "blob"]
    except (KeyError, TypeError) as error:
        raise RendererMissing(f"ModelScope gave no list of files for {name}. Check its name and revision.") from error
    for entry in files:
        path = PurePosixPath(entry["Path"])
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise RendererMissing(f"{name} lists the file {entry['Path']!r}, which lies outside its folder.")
    return [entry for entry in files if any(fnmatch(entry["Path"], pattern) for pattern in PATTERNS)]


def _get(url: str, name: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  - https, or loopback in tests
            return answer.read(MAX_LISTING_BYTES)
    except (urllib.error.URLError, OSError) as error:
        raise RendererMissing(f"{name} could not be listed: {_first_line(error)}.") from error


def _download(url: str, path: Path, size: int, sha256: str) -> None:
    """`url` to `path`, written beside it first; goes on with what an earlier try left."""
    if path.is_file() and path.stat().st_size == size:
        return
    partial = path.with_name(path.name + ".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(NUM_TRIES):
        try:
            _append(url, partial, size)
            break
        except (urllib.error.URLError, OSError) as error:
            if attempt + 1 == NUM_TRIES:
                raise RendererMissing(
                    f"{path.name} could not be fetched: {_first_line(error)}. Try again: it goes on where it stopped."
                ) from error
            _log.warning("%s was cut off (%s); going on", path.name, _first_line(error))
            time.sleep(min(2**attempt, 10) * 0.1)
    if sha256 and file_sha256(partial) != sha256.lower():
        partial.unlink()
        raise RendererMissing(f"{path.name} arrived damaged: its SHA-256 is not {sha256}. Fetch it again.")
    partial.replace(path)


def _append(url: str, partial: Path, size: int) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    if have >= size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
        goes_on = answer.status == 206
        with partial.open("ab" if goes_on else "wb") as file, _bar(partial.stem, size, have if goes_on else 0) as bar:
            while block := answer.read(_BLOCK_BYTES):
                file.write(block)
                bar.update(len(block))
    if partial.stat().st_size < size:
        raise OSError(f"{partial.stat().st_size} of {size} bytes arrived")


def _bar(name: str, total: int, done: int) -> tqdm:
    return tqdm(desc=name, total=total, initial=done, unit="B", unit_scale=True)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
