"""What a person fills in to start a run: the forms of the control room, one model a flow.

Prefect shows a plain parameter under its bare name; the fields of a model have titles, explanations and an order. An
empty field stands for "as usual". Knows no Prefect.
"""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

AS_WRITTEN: Final = "as the episode says"
Id = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,60}$")]
Store = Annotated[
    str,
    Field(
        title="Where to put it",
        description="Empty for the usual store; another one is file:FOLDER or s3://BUCKET/PREFIX",
    ),
]


class _Form(BaseModel):
    # A form's text fields take line breaks: one that slipped in at the end is no part of a name.
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @property
    def other_store(self) -> str | None:
        """The store in place of the setting, None for none."""
        return getattr(self, "store", "") or None


class EpisodeForm(_Form):
    """An episode to be made."""

    path: str = Field(
        min_length=1,
        title="Episode file",
        description="Where the workers find it, for example /episodes/welcome.yaml",
        examples=["/episodes/welcome.yaml"],
    )
    quality: Literal["as the episode says", "draft", "final"] = Field(
        AS_WRITTEN,
        title="Quality",
        description="A draft is done in minutes and costs no GPU; final is what you publish.",
    )
    budget_gpu_s: float = Field(
        0.0,
        ge=0,
        title="Budget, GPU seconds",
        description="Rendering stops before it costs more, and keeps what is done. 3600 is an hour, 0 no limit.",
        examples=[3600],
    )
    store: Store = ""


class FeedForm(_Form):
    """A podcast whose new episodes are made."""

    id: Id = Field(
        title="Short name",
        description="Begins the names of its episodes: letters, digits, - and _, for example tides",
        examples=["tides"],
    )
    address: str = Field(
        min_length=1,
        title="Address of the feed",
        description="The podcast's RSS feed, for example https://example.org/tides.xml",
        examples=["https://example.org/tides.xml"],
    )
    template: str = Field(
        min_length=1,
        title="Episode template",
        description="An episode file with cast and outputs, for example /episodes/tides.yaml; its source is replaced.",
        examples=["/episodes/tides.yaml"],
    )
    newest: int = Field(
        1,
        ge=0,
        le=500,
        title="How many to begin with",
        description="So many of the newest are made on the first visit; later every new one is.",
    )
    store: Store = ""


class InboxForm(_Form):
    """A folder whose new episode files are made."""

    id: Id = Field(title="Short name", description="Names the inbox, for example marketing", examples=["marketing"])
    place: str = Field(
        min_length=1,
        title="Folder",
        description="Where the workers find it: /episodes/inbox or s3://BUCKET/PREFIX",
        examples=["/episodes/inbox", "s3://videos/inbox"],
    )
    store: Store = ""
