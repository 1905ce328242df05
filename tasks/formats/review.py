"""The page on which a person looks a programme over before it goes out: player, shots, consent, and what made it.

In: a programme, an account of the run, addresses. Out: one HTML page that loads nothing but the programme's own files;
equal values give equal text. Texts of episodes are escaped by tasks/formats/hypertext.py. Knows no store and no clock.
Sources: HTML Living Standard; Content Security Policy Level 3, 2.3.1 (hashes).
"""

import base64
import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

from tasks.domain.delivery import ManifestConsent, ManifestOutput, ManifestShot
from tasks.domain.editing import STILL, Cue, Cut, Plan, Programme
from tasks.domain.options import EngineId
from tasks.domain.reviewing import Account, Addresses
from tasks.formats.hypertext import Markup, element, joined

_STYLE = Path(__file__).with_name("review.css").read_text("utf-8")
_SCRIPT = Path(__file__).with_name("review.js").read_text("utf-8")
_INTO_FRAME = Fraction(1, 100)
"""Seconds behind a frame's beginning that a player is sent to: at the very border it may show the frame before."""


def review_page(programme: Programme, account: Account, addresses: Addresses) -> str:
    """The page, to be kept as UTF-8. Its script and style run by their digests, and nothing else does."""
    shots = _Shots(programme, account)
    body = element(
        "body",
        _header(programme, account, addresses),
        element("main", _stage(programme, addresses, shots), _table(shots)),
        element(
            "div",
            _cast(programme, addresses),
            element("section", element("h2", "How it was made"), _made(programme, account)),
            element("section", element("h2", "This run"), _run(account, shots), _files(programme, addresses)),
            class_="more",
        ),
        _footer(account, addresses),
        element("script", Markup(_SCRIPT)),
    )
    page = element("html", _head(programme, addresses), body, lang="en")
    return f"<!doctype html>\n{page.html}\n"


class _Shots:
    """The shots of a programme, as a person reads them: in order, with words, and what the run did with each."""

    def __init__(self, programme: Programme, account: Account) -> None:
        self.plan: Plan = programme.plan
        self.language = programme.language
        self.names = {speaker.key: speaker.name for speaker in programme.manifest.cast}
        self._delivered = {shot.id: shot for shot in programme.manifest.shots}
        self._rendered, self._lost = dict(account.rendered), dict(account.lost)
        self._cues = sorted(self.plan.cues, key=lambda cue: cue.start_frame)
        self._starts = [cue.start_frame for cue in self._cues]

    def in_order(self) -> Iterator[tuple[Cut, ManifestShot | None]]:
        """Every shot, within its cut; None for a cut that shows a card."""
        for cut in self.plan.cuts:
            yield from ((cut, self._delivered[shot]) for shot in cut.shots)
            if not cut.shots:
                yield cut, None

    def stills(self) -> list[ManifestShot]:
        """Those whose portraits stand still."""
        return [shot for _, shot in self.in_order() if shot is not None and shot.renderer == STILL]

    def count(self, state: str) -> int:
        """How many were rendered, reused, or are a still."""
        return sum(shot is not None and self.state(shot)[0] == state for _, shot in self.in_order())

    def state(self, shot: ManifestShot) -> tuple[str, float | None]:
        """What the run did, and the seconds that it took where they are known."""
        if shot.renderer == STILL:
            return STILL, None
        if shot.fingerprint in self._rendered:
            return "rendered", self._rendered[shot.fingerprint]
        return "reused", None

    def why_lost(self, shot: ManifestShot) -> str:
        """Why it could not be rendered; "" where this run did not try."""
        return self._lost.get(shot.id, "")

    def cues(self, shot: ManifestShot) -> list[Cue]:
        """What is said in it: no caption reaches over a cut."""
        first, last = (bisect_left(self._starts, frame) for frame in (shot.start_frame, shot.end_frame))
        heard = self._cues[first:last]
        own = [cue for cue in heard if cue.speaker == self.names.get(shot.speaker or "")]
        return own if own or self.plan.shot(shot.id).is_listening else heard


def _head(programme: Programme, addresses: Addresses) -> Markup:
    title = f"{programme.manifest.title} - {programme.language} - {programme.revision}"
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(addresses)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        # A signed address is as good as the file: it must not follow a link as the page's own.
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="robots", content="noindex"),
        element("title", title),
        element("style", Markup(_STYLE)),
    )


def _policy(addresses: Addresses) -> str:
    """Our own style and script, pictures and films from where the programme is, and nothing else."""
    named = (*addresses.files, *addresses.portraits)
    parts = [urlsplit(address) for _, address in named]
    origins = " ".join(("'self'", *sorted({f"{part.scheme}://{part.netloc}" for part in parts if part.netloc})))
    return (
        f"default-src 'none'; style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; img-src {origins}; "
        f"media-src {origins} data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _header(programme: Programme, account: Account, addresses: Addresses) -> Markup:
    plan = programme.plan
    facts = (
        programme.episode,
        programme.language,
        account.quality,
        clock(plan.num_frames, plan.rate).partition(".")[0],
        f"produced {_moment(account.started)}",
    )
    title = element("h1", programme.manifest.title or programme.episode, lang=programme.language, dir="auto")
    return element("header", title, element("p", " · ".join(facts)), _languages(programme, addresses))


def _languages(programme: Programme, addresses: Addresses) -> Markup:
    if len(addresses.languages) < 2:
        return Markup("")
    links = [
        element("a", language, href=address, aria_current="page" if language == programme.language else None)
        for language, address in addresses.languages
    ]
    return element("nav", element("ul", *(element("li", link) for link in links)), aria_label="Languages")


def _stage(programme: Programme, addresses: Addresses, shots: _Shots) -> Markup:
    """The player, and below it what a person should look at first."""
    films = [output for output in programme.manifest.outputs if output.media_type.startswith("video/")]
    buttons = (element("button", _format(film), type="button") for film in films)
    return element(
        "section",
        element("div", *buttons, class_="formats", role="group", aria_label="Format", hidden=True),
        *(_film(film, programme, addresses) for film in films),
        _findings(programme, shots),
        _chapters(programme.plan),
        class_="stage",
        id="player",
        aria_label="Programme",
    )


def _film(film: ManifestOutput, programme: Programme, addresses: Addresses) -> Markup:
    files, captions = dict(addresses.files), dict(addresses.captions)
    tracks = [
        element(
            "track",
            kind="captions",
            src=f"data:text/vtt;base64,{base64.b64encode(captions[output.name]).decode()}",
            srclang=programme.language,
            label=f"Captions ({programme.language})",
        )
        for output in programme.manifest.outputs
        if output.name in captions
    ]
    size = f"{film.width} × {film.height}, {_size(film.bytes)}"
    return element(
        "figure",
        element(
            "video",
            element("source", src=files[film.name], type=film.media_type),
            *tracks,
            controls=True,
            playsinline=True,
            preload="metadata",
            poster=_poster(film, programme, files),
            width=str(film.width),
            height=str(film.height),
            aria_label=f"{programme.manifest.title}, {_format(film)}",
        ),
        element("figcaption", element("a", film.name, href=files[film.name]), f", {size}"),
    )


def _poster(film: ManifestOutput, programme: Programme, files: dict[str, str]) -> str | None:
    """The picture of the same shape, where there is one."""
    for output in programme.manifest.outputs:
        is_picture = output.media_type.startswith("image/")
        if is_picture and output.width * film.height == output.height * film.width:
            return files[output.name]
    return None


def _findings(programme: Programme, shots: _Shots) -> Markup:
    """What may keep the programme from going out; that nothing does, where nothing is found."""
    found: list[Markup] = []
    for shot in shots.stills():
        at, why = _seek(shot.start_frame, shots.plan.rate), shots.why_lost(shot)
        found.append(element("li", at, f" {shot.id} was not rendered, its portrait stands still. {why}"))
    if not programme.manifest.marking.label:
        found.append(element("li", "No label says that it was generated: it was published unmarked, by setting."))
    found += [element("li", warning) for warning in programme.warnings]
    if found:
        heading = element("h2", "Look at this first")
        return element("div", heading, element("ul", *found), class_="said alert")
    recorded = all(consent.state == "recorded" for consent in programme.manifest.consent)
    told = "Every shot is rendered" + (", and consent is recorded for everyone." if recorded else ".")
    return element("p", f"Nothing stands out. {told}", class_="said")


def _chapters(plan: Plan) -> Markup:
    if not plan.chapters:
        return Markup("")
    parts = [
        element(
            "li", _seek(chapter.start_frame, plan.rate), element("span", chapter.title, dir="auto", lang=plan.language)
        )
        for chapter in plan.chapters
    ]
    return element("nav", element("h2", "Chapters"), element("ol", *parts), class_="chapters", aria_label="Chapters")


def _table(shots: _Shots) -> Markup:
    head = element("tr", *(element("th", name, scope="col") for name in ("Time", "Speaker", "Words", "Clip")))
    rows = [_row(shots, cut, shot) for cut, shot in shots.in_order()]
    table = element("table", element("thead", head), element("tbody", *rows))
    return element("section", element("h2", _counted(len(rows), "shot")), table, class_="shots", aria_label="Shots")


def _row(shots: _Shots, cut: Cut, shot: ManifestShot | None) -> Markup:
    rate = shots.plan.rate
    cells = _card(shots, cut) if shot is None else (_speaker(shots, shot), _words(shots, shot), _clip(shots, shot))
    return element(
        "tr",
        element("td", _seek(cut.start_frame, rate)),
        *cells,
        data_from=_seconds(Fraction(cut.start_frame) / rate),
        data_to=_seconds(Fraction(cut.end_frame) / rate),
    )


def _card(shots: _Shots, cut: Cut) -> tuple[Markup, ...]:
    words = element("td", cut.text, dir="auto", lang=shots.language)
    return element("td", "scene", class_="soft"), words, element("td", "card", class_="soft")


def _speaker(shots: _Shots, shot: ManifestShot) -> Markup:
    if shot.speaker is None:
        return element("td", "scene", class_="soft")
    return element("td", shots.names.get(shot.speaker, shot.speaker), class_="who", dir="auto")


def _words(shots: _Shots, shot: ManifestShot) -> Markup:
    """What is said, or what is seen; below it what was measured, and why it is a still."""
    planned, cues = shots.plan.shot(shot.id), shots.cues(shot)
    said = " ".join(line for cue in cues for line in cue.lines) or planned.scene_text
    notes = [f"{name} {value}" for name, value in shot.checks if name != STILL]
    if any(cue.is_fast for cue in cues):
        notes.append("captions are fast to read, since the speech is")
    below = [element("small", ", ".join(notes))] if notes else []
    if shot.renderer == STILL:
        below.append(element("small", shots.why_lost(shot) or "not rendered", class_="alert"))
    if not said:
        silent = element("span", "listens" if planned.is_listening else "says nothing", class_="soft")
        return element("td", silent, *below)
    return element("td", element("span", said, dir="auto", lang=shots.language), *below)


def _clip(shots: _Shots, shot: ManifestShot) -> Markup:
    state, seconds = shots.state(shot)
    took = "" if seconds is None else f" {seconds:.1f} s"
    kind = {STILL: "alert-text", "reused": "soft"}.get(state)
    return element("td", f"{state}{took}", class_=kind, title=f"{shot.id}, {shot.fingerprint[:12]}, {shot.renderer}")


def _cast(programme: Programme, addresses: Addresses) -> Markup:
    pictures = dict(addresses.portraits)
    consents = {consent.speaker: consent for consent in programme.manifest.consent}
    people = []
    for speaker in programme.manifest.cast:
        told = [element("b", speaker.name, dir="auto"), _consent(consents.get(speaker.key))]
        if speaker.voice:
            told.append(element("span", f"Voice {speaker.voice}"))
        picture = element("img", src=pictures.get(speaker.key), alt="", loading="lazy", width="52", height="52")
        people.append(element("li", *([picture] if speaker.key in pictures else []), element("div", *told)))
    return element("section", element("h2", "Cast and consent"), element("ul", *people, class_="cast"))


def _consent(consent: ManifestConsent | None) -> Markup:
    if consent is None or consent.state != "recorded":
        return element("span", "Consent is not recorded", class_="alert-text")
    until = f"until {consent.until.isoformat()}" if consent.until else None
    told = "; ".join(part for part in (consent.who, consent.scope, until) if part)
    return element("span", f"Consent recorded{': ' if told else ''}{told}", dir="auto")


def _made(programme: Programme, account: Account) -> Markup:
    """Engines, what was measured, how it is marked."""
    facts: list[tuple[str, str | Markup]] = [("quality", account.quality)]
    facts += [(engine.role, _engine(engine)) for engine in programme.manifest.engines]
    facts += list(programme.checks)
    label = programme.manifest.marking.label
    facts.append(("marking", f"“{label}” in every frame" if label else "none, by setting"))
    facts.append(("revision", element("code", programme.revision)))
    return _list(facts)


def _engine(engine: EngineId) -> Markup:
    weights = (", weights ", element("code", engine.weights[:12])) if engine.weights else ()
    return joined((f"{engine.name} {engine.version}", *weights))


def _run(account: Account, shots: _Shots) -> Markup:
    counts = [f"{number} {state}" for state in ("rendered", "reused", STILL) if (number := shots.count(state))]
    facts: list[tuple[str, str | Markup]] = [
        ("clips", ", ".join(counts) or "none"),
        ("tries repeated", str(account.num_retries)),
        ("took", f"{account.seconds:.1f} s, {account.cpu_seconds:.1f} s of CPU"),
    ]
    if account.gpu_seconds:
        quoted = account.expected_gpu_seconds
        facts.append(("GPU", f"{account.gpu_seconds:.1f} s" + (f", {quoted:.1f} s quoted" if quoted else "")))
    if account.cost is not None:
        facts.append(("cost", f"{account.cost:.2f}"))
    return _list(facts)


def _files(programme: Programme, addresses: Addresses) -> Markup:
    sizes = {output.name: _size(output.bytes) for output in programme.manifest.outputs}
    rows = [
        element("li", element("a", name, href=address), element("span", sizes.get(name, "")))
        for name, address in (*addresses.files, ("record of this run", addresses.record))
    ]
    return joined((element("h2", "Files"), element("ul", *rows, class_="files")))


def _footer(account: Account, addresses: Addresses) -> Markup:
    told = f"What run {account.run} did. A later run of the same episode writes a page of its own."
    if addresses.until is not None:
        told += f" The links on this page hold until {_moment(addresses.until)}."
    return element("footer", told)


def _list(facts: Iterable[tuple[str, str | Markup]]) -> Markup:
    return element("dl", *(joined((element("dt", name), element("dd", value))) for name, value in facts))


def _seek(frame: int, rate: Fraction) -> Markup:
    """A time that the player goes to."""
    at = _seconds(frame / rate + _INTO_FRAME)
    return element("a", element("time", clock(frame, rate)), href="#player", data_at=at)


def _seconds(instant: Fraction) -> str:
    return f"{float(instant):.3f}"


def clock(frame: int, rate: Fraction) -> str:
    """A programme frame as [h:]m:ss.hh, which is how pages show times."""
    hundredths = int(100 * frame / rate)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    front = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{front}:{rest // 100:02d}.{rest % 100:02d}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 100_000 else f"{max(1, round(num_bytes / 1000))} kB"


def _format(film: ManifestOutput) -> str:
    """As people say it: "16:9" of "16x9.en.mp4"."""
    return film.name.partition(".")[0].replace("x", ":")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
