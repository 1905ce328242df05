"""The `s3://` store: any S3-compatible service, through the `minio` client.

In: keys and bytes. Out: objects below the prefix of one bucket. An object appears only when it is whole; "created if
absent" is one PUT with If-None-Match, which the client cannot send: it signs the address, and we send the request.
Knows no digest: the workspace checks what it fetches. Neither the ETag nor If-Match is relied upon: services differ.
"""

import hashlib
import io
import logging
import os
import random
import re
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from minio.commonconfig import REPLACE, CopySource
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError, ProtocolError

from tasks.domain.errors import SettingsError, StoreError
from tasks.engines.stores import MANIFEST, Stored, check_key, check_prefix
from tasks.engines.stores.s3_connection import S3Options, client, connections
from tasks.engines.stores.s3_faults import AGAIN, FOREIGN, HideSignatures, RefusedError, explain

_BLOCK_BYTES = 1 << 20
_PART_BYTES = 32 << 20
_ERROR_BYTES = 64 << 10
# Of our own requests' addresses: longer than any clock may be wrong, so that a wrong clock is told as such.
_SIGNED_FOR = timedelta(hours=1)
_MAX_LINK_SECONDS = 7 * 24 * 3600
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_HIDE_SIGNATURES = HideSignatures()


class S3Store:
    """A store in a bucket. Any number of machines may share it; threads may share one object."""

    def __init__(self, bucket: str, prefix: str, options: S3Options) -> None:
        """prefix: "" or a key without a slash at its ends."""
        self._bucket, self._prefix, self._options = bucket, f"{prefix}/" if prefix else "", options
        self._http = connections(options)
        self._client = client(options.endpoint, options, self._http)
        self._public = client(options.public_endpoint or options.endpoint, options, self._http)
        self._is_bucket_known = False

    @property
    def uri(self) -> str:
        """As `Store.uri`."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def check(self, *, write: bool = False) -> None:
        """As `Store.check`."""
        try:
            self._ask()
            if write:
                self._prove()
        except (*FOREIGN, ValueError) as error:
            fault = explain(error, self._options.endpoint, self._bucket)
            raise (fault.as_settings_error() if fault.is_setting else fault.as_store_error()) from error

    def _ask(self) -> None:
        # A listing that finds nothing: unlike a HEAD its answer has a body, which says what is wrong.
        for _ in self._client.list_objects(bucket_name=self._bucket, prefix=f"{self._prefix}probe-none"):
            break
        self._is_bucket_known = True

    def _prove(self) -> None:
        key = f"probe-{uuid.uuid4().hex}"
        try:
            if not self._send_new(key, b"probe", "text/plain") or self._send_new(key, b"other", "text/plain"):
                raise SettingsError(
                    f"the store at {self._options.endpoint} does not honour If-None-Match, so two writers could "
                    "overwrite one another.",
                    remedy="Use a service, or a newer release of it, that does.",
                )
        finally:
            with suppress(MinioException, HTTPError):
                self._client.remove_object(bucket_name=self._bucket, object_name=self._name(key))

    def stat(self, key: str) -> Stored | None:
        """As `Store.stat`."""
        name = self._name(key)
        with self._answering():
            try:
                found = self._client.stat_object(bucket_name=self._bucket, object_name=name)
            except S3Error as error:
                if error.code not in ("NoSuchKey", "AccessDenied"):
                    raise
                # A HEAD's answer has no body: a missing bucket says NoSuchKey too, a wrong secret AccessDenied.
                if error.code == "AccessDenied" or not self._is_bucket_known:
                    self._ask()
                if error.code == "AccessDenied":
                    raise
                return None
        return Stored(key=key, size=found.size, modified=_aware(found.last_modified))

    def local(self, key: str) -> Path | None:
        """As `Store.local`: a bucket has no files."""
        check_key(key)
        return None

    def fetch(self, key: str, target: Path) -> bool:
        """As `Store.fetch`. A connection that breaks half-way is begun again."""
        beside = target.with_name(f".{uuid.uuid4().hex}.part")

        def pour(blocks: Iterator[bytes]) -> bool:
            with open(beside, "wb") as file:
                for block in blocks:
                    file.write(block)
            return True

        with self._answering():
            try:
                if self._download(key, pour) is None:
                    return False
                os.replace(beside, target)
            except OSError as error:
                raise StoreError(f"{key} could not be written to {target} ({error.strerror or error}).") from error
            finally:
                beside.unlink(missing_ok=True)
        return True

    def read(self, key: str, *, limit: int = 64 << 20) -> bytes | None:
        """As `Store.read`."""

        def gather(blocks: Iterator[bytes]) -> bytes:
            content = bytearray()
            for block in blocks:
                content += block
                if len(content) > limit:
                    break
            return bytes(content)

        with self._answering():
            content: bytes | None = self._download(key, gather)
        if content is not None and len(content) > limit:
            raise StoreError(f"{self.address(key)} is larger than the {limit} bytes that such a document may have.")
        return content

    def _download(self, key: str, use: Callable[[Iterator[bytes]], Any]) -> Any:
        """What `use` makes of the object's bytes; None where there is no object. Begins again after a break."""
        name = self._name(key)
        for attempt in range(1, self._options.attempts + 1):
            try:
                answer = self._client.get_object(bucket_name=self._bucket, object_name=name)
            except S3Error as error:
                if error.code == "NoSuchKey":
                    return None
                raise
            try:
                if not {"content-length", "transfer-encoding"} & {name.lower() for name in answer.headers}:
                    # Cut within the headers, which nobody else notices: the body would seem to end wherever it ends.
                    raise ProtocolError("the answer's headers are cut short")
                return use(answer.stream(_BLOCK_BYTES))
            except HTTPError:
                if attempt == self._options.attempts:
                    raise
                _rest(attempt)
            finally:
                answer.close()
                answer.release_conn()
        raise AssertionError("unreachable")

    def put(self, key: str, source: Path, media_type: str) -> None:
        """As `Store.put`. Up to 5 GiB in one request that the service checks by MD5, in parts above."""
        name = self._name(key)

        def opened() -> BinaryIO:
            return source.open("rb")

        try:
            size = source.stat().st_size
            with self._answering():
                if size > self._options.single_put_bytes:
                    self._client.fput_object(
                        bucket_name=self._bucket,
                        object_name=name,
                        file_path=str(source),
                        content_type=media_type,
                        part_size=_PART_BYTES,
                    )
                else:
                    self._send(key, opened, size, media_type)
        except OSError as error:
            raise StoreError(f"{source} could not be sent to the store ({error.strerror or error}).") from error

    def write(self, key: str, content: bytes, media_type: str) -> None:
        """As `Store.write`."""
        with self._answering():
            self._send(key, lambda: io.BytesIO(content), len(content), media_type)

    def create(self, key: str, content: bytes, media_type: str) -> bool:
        """As `Store.create`."""
        with self._answering():
            return self._send_new(key, content, media_type)

    def _send_new(self, key: str, content: bytes, media_type: str) -> bool:
        return self._send(key, lambda: io.BytesIO(content), len(content), media_type, new=content)

    def _send(
        self, key: str, opened: Callable[[], BinaryIO], size: int, media_type: str, new: bytes | None = None
    ) -> bool:
        """PUT, again after a break. new: the bytes, where nothing may be there yet: False where something is."""
        headers = {"Content-Type": media_type, "Content-Length": str(size), "Content-MD5": _md5(opened)}
        if new is not None:
            headers["If-None-Match"] = "*"
        might_be_there = False
        for attempt in range(1, self._options.attempts + 1):
            try:
                self._send_once(key, opened, headers)
            except RefusedError as error:
                if new is not None and error.status == 412:
                    # A time-out is no failure: what is there may be what an earlier attempt brought.
                    return might_be_there and self.read(key) == new
                might_be_there = might_be_there or error.status >= 500
                if attempt == self._options.attempts or not (error.status >= 500 or error.code in AGAIN):
                    raise
            except HTTPError:
                might_be_there = True
                if attempt == self._options.attempts:
                    raise
            else:
                return True
            _rest(attempt)
        raise AssertionError("unreachable")

    def _send_once(self, key: str, opened: Callable[[], BinaryIO], headers: Mapping[str, str]) -> None:
        address = self._client.get_presigned_url(
            method="PUT", bucket_name=self._bucket, object_name=self._name(key), expires=_SIGNED_FOR
        )
        with opened() as body:
            answer = self._http.request(
                "PUT", address, body=body, headers=headers, retries=False, redirect=False, preload_content=False
            )
        try:
            told = answer.read(_ERROR_BYTES)
        finally:
            answer.close()
            answer.release_conn()
        if answer.status not in (200, 201, 204):
            raise RefusedError(answer.status, told, answer.headers.get("content-type", ""))

    def touch(self, key: str) -> bool:
        """As `Store.touch`: the service copies the object onto itself."""
        name = self._name(key)
        with self._answering():
            if self.stat(key) is None:
                return False
            kind = self._client.stat_object(bucket_name=self._bucket, object_name=name).content_type
            self._client.copy_object(
                bucket_name=self._bucket,
                object_name=name,
                source=CopySource(bucket_name=self._bucket, object_name=name),
                metadata={"Content-Type": kind or "application/octet-stream"},
                metadata_directive=REPLACE,
            )
        return True

    def delete(self, key: str) -> None:
        """As `Store.delete`."""
        with self._answering():
            self._client.remove_object(bucket_name=self._bucket, object_name=self._name(key))

    def list(self, prefix: str) -> Iterator[Stored]:
        """As `Store.list`. Objects of others that are no keys of ours are passed over."""
        start = self._prefix + check_prefix(prefix)
        with self._answering():
            for found in self._client.list_objects(bucket_name=self._bucket, prefix=start, recursive=True):
                key = found.object_name.removeprefix(self._prefix)
                with suppress(ValueError):
                    yield Stored(key=check_key(key), size=found.size, modified=_aware(found.last_modified))

    def copy(self, source: str, target: str) -> None:
        """As `Store.copy`: the service copies, nothing travels."""
        with self._answering():
            try:
                self._client.copy_object(
                    bucket_name=self._bucket,
                    object_name=self._name(target),
                    source=CopySource(bucket_name=self._bucket, object_name=self._name(source)),
                )
            except S3Error as error:
                if error.code != "NoSuchKey":
                    raise
                raise StoreError(f"{self.address(source)} is gone. Run again.") from error

    def publish(self, prefix: str, files: Mapping[str, str], manifest: bytes) -> bool:
        """As `Store.publish`: readers follow the manifest alone, and it is created last."""
        last = f"{prefix}/{MANIFEST}"
        if self.stat(last) is not None:
            return False
        for name, key in files.items():
            self.copy(key, f"{prefix}/{name}")
        return self.create(last, manifest, "application/json")

    def tidy(self, before: datetime) -> int:
        """As `Store.tidy`: uploads in parts that nobody goes on with take room, and no listing shows them."""
        count, markers = 0, {"key_marker": "", "upload_id_marker": ""}
        while True:
            with self._answering():
                # The client has no public call for either.
                found = self._client._list_multipart_uploads(
                    bucket_name=self._bucket, prefix=self._prefix, **{k: v for k, v in markers.items() if v}
                )
                for upload in found.uploads:
                    if _aware(upload.initiated_time) < before:
                        self._client._abort_multipart_upload(
                            bucket_name=self._bucket, object_name=upload.object_name, upload_id=upload.upload_id
                        )
                        count += 1
            if not found.is_truncated:
                return count
            markers = {"key_marker": found.next_key_marker, "upload_id_marker": found.next_upload_id_marker}

    def address(self, key: str) -> str:
        """As `Store.address`."""
        return f"s3://{self._bucket}/{self._name(key)}"

    def link(self, key: str, seconds: int) -> str:
        """As `Store.link`; signed here, without asking the service. At most seven days."""
        if not 1 <= seconds <= _MAX_LINK_SECONDS:
            raise ValueError(f"a link holds for 1 second to 7 days, not {seconds} s")
        address: str = self._public.get_presigned_url(
            method="GET", bucket_name=self._bucket, object_name=self._name(key), expires=timedelta(seconds=seconds)
        )
        return address

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """The one place where foreign exceptions become ours."""
        try:
            yield
        except FOREIGN as error:
            raise explain(error, self._options.endpoint, self._bucket).as_store_error() from error


def load(uri: str, options: Mapping[str, Any]) -> S3Store:
    """The bucket and prefix of "s3://bucket/prefix". options: the fields of `S3Options`."""
    bucket, _, prefix = uri.removeprefix("s3:").removeprefix("//").partition("/")
    if not uri.startswith("s3://") or not _BUCKET.fullmatch(bucket):
        raise SettingsError(
            f"the store {uri!r} names no bucket.",
            remedy="Write s3://bucket/prefix; a bucket has 3 to 63 lower-case letters, digits, '-' or '.'.",
        )
    try:
        check_prefix(prefix.strip("/"))
    except ValueError as error:
        raise SettingsError(f"the prefix of the store {uri!r} has parts other than A-Z a-z 0-9 . _ -.") from error
    known = {one.name for one in fields(S3Options)}
    if unknown := sorted(set(options) - known):
        raise SettingsError(f"an S3 store has no setting {unknown[0]!r}.", remedy=f"Known: {', '.join(sorted(known))}.")
    chosen = S3Options(**options)
    if not chosen.access_key or not chosen.secret_key:
        raise SettingsError(f"the store {uri!r} needs an access key and a secret key.", remedy="Put them in settings.")
    for name in ("urllib3.connectionpool", "urllib3.connection"):
        logging.getLogger(name).addFilter(_HIDE_SIGNATURES)
    return S3Store(bucket, prefix.strip("/"), chosen)


def _md5(opened: Callable[[], BinaryIO]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with opened() as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return b64encode(digest.digest()).decode()


def _rest(attempt: int) -> None:
    """Wait before the next attempt, so that many who failed together do not come back together."""
    time.sleep(random.uniform(0.1, 0.3) * 2**attempt)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
