"""What an S3 service, or what stands in its place, says when it refuses: one sentence for a person each.

In: an exception of `minio` or `urllib3`. Out: a `Fault`. Names the endpoint and the bucket, never a key or a signature.
"""

import logging
import re
from dataclasses import dataclass
from xml.etree import ElementTree

from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError, SSLError
from urllib3.exceptions import TimeoutError as HTTPTimeout

from tasks.domain.errors import SettingsError, StoreError

KEYS = frozenset(
    (
        *("SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidSecurity", "InvalidToken", "InvalidTokenId"),
        *("ExpiredToken", "TokenRefreshRequired", "AccountProblem", "AllAccessDisabled", "NotSignedUp"),
    )
)
RIGHTS = frozenset(("AccessDenied", "Forbidden", "UnauthorizedAccess", "MethodNotAllowed"))
CLOCK = frozenset(("RequestTimeTooSkewed", "RequestExpired", "ExpiredPresignRequest"))
BUCKET = frozenset(("NoSuchBucket", "InvalidBucketName"))
REGION = frozenset(("PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "InvalidRegion"))
FULL = frozenset(("QuotaExceeded", "InsufficientStorage", "InsufficientCapacity", "XMinioStorageFull"))
AGAIN = frozenset(
    (
        *("SlowDown", "SlowDownRead", "SlowDownWrite", "TooManyRequests", "InternalError", "ServiceUnavailable"),
        *("RequestTimeout", "OperationAborted", "ConditionalRequestConflict"),
        *("BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"),
    )
)
"""Codes after which the same request, sent again, may well succeed."""

_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9]{1,64})\s*</Code>")
_EXPIRED = re.compile(rb"(?i)has expired|not yet valid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why the store did not do it, and what helps."""

    message: str
    remedy: str
    is_setting: bool = False
    """Whether no retry helps, because a person must mend an address, keys, rights or a clock."""

    def as_store_error(self) -> StoreError:
        """What ends a stage."""
        return StoreError(f"The {self.message} {self.remedy}")

    def as_settings_error(self) -> SettingsError:
        """What ends a run before it starts."""
        return SettingsError(f"the {self.message}", remedy=self.remedy)


class RefusedError(Exception):
    """An answer to a request of our own, outside the client: its HTTP status and S3 code."""

    def __init__(self, status: int, body: bytes, content_type: str) -> None:
        """body: the first few KB of the answer."""
        found = _CODE.search(body)
        self.status, self.content_type = status, content_type
        self.code = found.group(1).decode() if found else ""
        if self.code == "AccessDenied" and _EXPIRED.search(body):
            # So a signed address is refused when this machine's clock is hours late.
            self.code = "RequestExpired"
        super().__init__(f"HTTP {status} {self.code}".strip())


class HideSignatures(logging.Filter):
    """Takes the signatures of presigned addresses out of urllib3's debugging log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True: the record stays, without what could be used."""
        text = record.getMessage()
        if "X-Amz-" in text:
            record.msg, record.args = (
                re.sub(r"X-Amz-(Signature|Credential|Security-Token)=[^&\s\"]+", r"\1=...", text),
                (),
            )
        return True


FOREIGN = (MinioException, HTTPError, RefusedError, ElementTree.ParseError, UnicodeDecodeError)
"""What may come out of the client, or of a request of our own: the last two where no S3 service answers."""


def explain(error: Exception, endpoint: str, bucket: str) -> Fault:
    """What `error` means. endpoint: as in settings; bucket: as in the store's address."""
    if isinstance(error, S3Error | RefusedError) and error.code:
        return _explain_code(error.code, endpoint, bucket)
    if isinstance(error, ServerError):
        return _busy(endpoint, f"HTTP {error.status_code}")
    if isinstance(error, RefusedError | InvalidResponseError):
        status = error.status if isinstance(error, RefusedError) else _answer_of(error)[0]
        if status >= 500 or status == 429:  # a proxy's page before a service that is away
            return _busy(endpoint, f"HTTP {status}")
    if isinstance(error, InvalidResponseError | RefusedError | ElementTree.ParseError | ValueError):
        return Fault(
            message=f"server at {endpoint} does not answer as an S3 service does ({_told(error)}).",
            remedy="Check the store's endpoint in settings: its port, and whether it is https.",
            is_setting=True,
        )
    if isinstance(error, HTTPError):
        return _explain_connection(error, endpoint)
    return _busy(endpoint, type(error).__name__)


def _explain_code(code: str, endpoint: str, bucket: str) -> Fault:
    place = f"store at {endpoint}"
    if code in KEYS:
        told, remedy = f"refuses the credentials ({code}).", "Check the access key and the secret key in settings."
    elif code in RIGHTS:
        told = f"refuses access to bucket {bucket!r} ({code})."
        remedy = "Check the keys in settings, and that they may list, read, write and delete there."
    elif code in CLOCK:
        told, remedy = f"finds this machine's clock wrong by more than 15 minutes ({code}).", "Set the clock."
    elif code in BUCKET:
        told, remedy = f"has no bucket {bucket!r} ({code}).", "Create it, or correct the store's address."
    elif code in REGION:
        told, remedy = f"keeps bucket {bucket!r} in another region ({code}).", "Correct the store's region in settings."
    elif code in FULL:
        told, remedy = f"has no room left ({code}).", "Free some space there, or name another store."
        return Fault(message=f"{place} {told}", remedy=remedy)
    else:
        return _busy(endpoint, code)
    return Fault(message=f"{place} {told}", remedy=remedy, is_setting=True)


def _explain_connection(error: HTTPError, endpoint: str) -> Fault:
    reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    text = str(reason)
    if isinstance(reason, SSLError) or "SSL" in text:
        if "CERTIFICATE_VERIFY_FAILED" in text:
            told, remedy = "shows a certificate that is not trusted.", "Name its authority in settings (ca_file)."
        else:
            told, remedy = "does not speak TLS there.", "Write http:// in the store's endpoint, or another port."
        return Fault(message=f"store at {endpoint} {told}", remedy=remedy, is_setting=True)
    if "getaddrinfo" in text or "resolve" in text:
        why = "its name is not known"
    elif isinstance(reason, NewConnectionError) or "refused" in text:
        why = "nothing listens there"
    elif isinstance(reason, HTTPTimeout):
        why = "no answer in time"
    else:
        why = "the connection broke"
    return Fault(
        message=f"store at {endpoint} cannot be reached ({why}).",
        remedy="Check that it runs, its endpoint in settings, and the network.",
    )


def _busy(endpoint: str, told: str) -> Fault:
    return Fault(message=f"store at {endpoint} failed ({told}).", remedy="Try again, or look at the store's own log.")


def _told(error: Exception) -> str:
    if isinstance(error, RefusedError):
        return f"HTTP {error.status}, {error.content_type or 'no content type'}"
    if not isinstance(error, InvalidResponseError):
        return "no XML that it would send"
    status, content_type = _answer_of(error)
    return f"HTTP {status}, {content_type or 'no content type'}"


def _answer_of(error: InvalidResponseError) -> tuple[int, str | None]:
    """Status and content type, which it keeps to itself; its text carries the page's whole body."""
    status, content_type = error.__reduce__()[1][:2]
    return int(status), content_type
