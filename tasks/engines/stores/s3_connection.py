"""How an S3 service is reached: what is set, the connections, and the client over them. Opens none of them."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import certifi
import urllib3
from minio import Minio

from tasks.domain.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Options:
    """How an S3 service is reached."""

    endpoint: str = "https://s3.amazonaws.com"
    """"http://host:port" or "https://host"."""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    region: str = "us-east-1"
    """Must be named: without it every bucket costs a request, and links cannot be signed."""
    public_endpoint: str = ""
    """The address that browsers use, for links, where it differs."""
    ca_file: str = ""
    """Authorities that sign the service's certificate; "" for the well-known ones."""
    connect_seconds: float = 3.0
    read_seconds: float = 30.0
    attempts: int = 3
    """Of each request, after a break or a 5xx."""
    threads: int = 16
    """How many connections are kept open."""
    single_put_bytes: int = 5 << 30
    """Larger files go in parts. The services' own limit is 5 GiB."""


def connections(options: S3Options) -> urllib3.PoolManager:
    """Kept open, and given up soon: the client's own limits are 300 s and five retries, half an hour of silence."""
    return urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=options.connect_seconds, read=options.read_seconds),
        maxsize=options.threads,
        cert_reqs="CERT_REQUIRED",
        ca_certs=options.ca_file or certifi.where(),
        retries=urllib3.Retry(
            total=options.attempts - 1,
            backoff_factor=0.2,
            backoff_jitter=0.2,
            status_forcelist=(500, 502, 503, 504),
            allowed_methods=None,
            # A 503 SlowDown would come out as a MaxRetryError, without its code.
            raise_on_status=False,
        ),
    )


def client(endpoint: str, options: S3Options, http: urllib3.PoolManager) -> Minio:
    """A client of `endpoint`. Raises SettingsError where that is no address of a service."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.path.strip("/")
        or parts.query
        or "@" in endpoint
    ):
        # What is refused may hold a password: it is not repeated.
        raise SettingsError(
            "the store's endpoint in settings is no address of a service.",
            remedy="Write http://host:port or https://host.",
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Minio(
        endpoint=f"{host}:{port}" if port else host,
        access_key=options.access_key,
        secret_key=options.secret_key,
        session_token=options.session_token or None,
        secure=parts.scheme == "https",
        region=options.region,
        http_client=http,
    )
