"""Names of files from outside: shown without harm, and never leading out of the folders they may lie in."""

import os
from pathlib import Path

import pytest

from tasks.domain.errors import EpisodeError, RecordingError
from tasks.media.paths import resolve, shown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An episode's folder with one recording, beside a secret."""
    (tmp_path / "secret.wav").write_bytes(b"s")
    home = tmp_path / "episode"
    (home / "sound").mkdir(parents=True)
    (home / "sound" / "anna.wav").write_bytes(b"a")
    return home


@pytest.mark.parametrize("name", ["sound/anna.wav", "./sound/anna.wav", "sound/../sound/anna.wav"])
def test_a_name_below_the_folder_is_found(folder: Path, name: str) -> None:
    """Relative names start at the episode's folder, whatever the working folder is."""
    assert resolve(name, folder=folder) == folder / "sound" / "anna.wav"


@pytest.mark.parametrize("name", ["../secret.wav", "sound/../../secret.wav", "/etc/hostname", "~/x.wav/../../.."])
def test_a_name_that_leads_out_is_refused(folder: Path, name: str) -> None:
    """Parent folders and absolute names end in one sentence, whether or not a file is there."""
    with pytest.raises(EpisodeError, match=r"leads out of the episode's folder\. Put the file"):
        resolve(name, folder=folder)


def test_a_link_is_judged_by_where_it_ends(folder: Path) -> None:
    """A link to a file outside is refused, one to a file inside is followed."""
    (folder / "out.wav").symlink_to(folder.parent / "secret.wav")
    (folder / "in.wav").symlink_to(folder / "sound" / "anna.wav")
    with pytest.raises(EpisodeError, match="leads out"):
        resolve("out.wav", folder=folder)
    assert resolve("in.wav", folder=folder) == folder / "sound" / "anna.wav"


def test_a_linked_folder_is_judged_too(folder: Path) -> None:
    """A folder that is a link to outside hides nothing."""
    (folder / "door").symlink_to(folder.parent)
    with pytest.raises(EpisodeError, match="leads out"):
        resolve("door/secret.wav", folder=folder)


def test_further_roots_open_their_files_only(folder: Path) -> None:
    """With `roots`, a file there may be named absolutely or relatively to it."""
    roots = (folder.parent,)
    assert resolve(str(folder.parent / "secret.wav"), folder=folder, roots=roots) == folder.parent / "secret.wav"
    assert resolve("secret.wav", folder=folder, roots=roots) == folder.parent / "secret.wav"
    with pytest.raises(EpisodeError, match="leads out"):
        resolve("/etc/hostname", folder=folder, roots=roots)


def test_a_neighbouring_folder_with_the_same_beginning_is_outside(folder: Path) -> None:
    """'/x/episode2' does not lie below '/x/episode'."""
    (folder.parent / "episode2").mkdir()
    (folder.parent / "episode2" / "x.wav").write_bytes(b"x")
    with pytest.raises(EpisodeError, match="leads out"):
        resolve("../episode2/x.wav", folder=folder)


@pytest.mark.parametrize("name", ["", "  ", "a\0b.wav"])
def test_what_cannot_be_a_name_is_refused(folder: Path, name: str) -> None:
    """Empty names and NUL are no file names."""
    with pytest.raises(EpisodeError, match="is no file name"):
        resolve(name, folder=folder)


def test_a_misspelt_name_gets_a_suggestion(folder: Path) -> None:
    """The nearest neighbour is offered, with its capitals."""
    with pytest.raises(RecordingError, match=r"tracks\.anna: there is no file 'sound/Ana.wav'.*'sound/anna.wav'"):
        resolve("sound/Ana.wav", folder=folder, where="tracks.anna", error=RecordingError)


def test_folders_pipes_and_endless_names_are_no_files(folder: Path) -> None:
    """What is there but no ordinary file is refused; a pipe is not opened."""
    os.mkfifo(folder / "pipe.wav")
    with pytest.raises(EpisodeError, match="is a folder"):
        resolve("sound", folder=folder)
    with pytest.raises(EpisodeError, match="no ordinary file"):
        resolve("pipe.wav", folder=folder)
    with pytest.raises(EpisodeError, match="cannot be opened"):
        resolve("x" * 5000, folder=folder)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("new\nline.opus", r"'new\nline.opus'"),
        ("right\u202eto-left", r"'right\u202eto-left'"),
        ("播客.opus", "'播客.opus'"),
        ("\udcff.wav", r"'\udcff.wav'"),
    ],
)
def test_names_are_shown_without_harm(name: str, expected: str) -> None:
    """Control marks, direction marks and broken bytes are escaped; letters of any script stay."""
    assert shown(name) == expected
    assert len(shown("x" * 5000)) < 130
