"""Files that take the place of others, or are new."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bus.disk import READ_ONLY, filesystem, is_read_only, kept, make_folder, save, whole
from bus.errors import StoreError


def test_a_saved_file_takes_the_place_of_another_unless_it_is_to_be_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "f"
    save(path, b"one", 0o600, anew=True)
    with pytest.raises(FileExistsError):
        save(path, b"two", 0o600, anew=True)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one", 0o600)
    save(path, b"three")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("f", b"three")]


def test_what_keeps_a_file_from_being_written_is_told_with_the_name_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as told:
        save(tmp_path / "none/f", b"one")
    assert told.value.filename == str(tmp_path / "none/f")


def test_a_disk_that_is_full_is_told_with_the_name_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as full, whole(tmp_path / "fascicolo.zip") as file:
        file.write(b"x")
        with Path("/dev/full").open("wb", buffering=0) as disk:
            disk.write(b"x")
    assert full.value.filename == str(tmp_path / "fascicolo.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_saved_file_is_on_the_disk_before_it_has_its_name_and_so_is_the_name_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []

    def sync(descriptor: int) -> None:
        what = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append(("folder" if what.is_dir() else what.read_text(), (tmp_path / "f").exists()))

    monkeypatch.setattr("bus.disk.os.fsync", sync)
    save(tmp_path / "f", b"whole")
    assert synced == [("whole", False), ("folder", True)]


def test_nobody_else_may_write_into_a_folder_that_was_made_under_an_open_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_folder(tmp_path / "var/keys", 0o700)
        make_folder(tmp_path / "var/keys", 0o700)
    finally:
        os.umask(before)
    assert [0o755, 0o700] == [(tmp_path / one).stat().st_mode & 0o777 for one in ("var", "var/keys")]


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/srv/snodo/var", "ext4"),
        ("/mnt/rete/var", "nfs4"),
        ("/mnt/rete comune/var", "nfs"),
        ("/mnt/rete comuneX", "ext4"),
        ("/mnt/a\r\x0b\xa0b", "nfs"),
    ],
)
def test_a_folder_is_on_what_was_mounted_nearest_to_it_and_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, kind: str
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "2 1 0:40 / /mnt/rete rw shared:5 - autofs systemd-1 rw\n"
        "3 2 0:41 / /mnt/rete rw - nfs4 nas:/rete rw\n"
        "4 1 0:42 / /mnt/rete\\040comune rw - nfs nas:/comune rw\n"
        "5 1 0:43 / /mnt/a\r\x0b\xa0b rw - nfs nas:/a rw\n",
        "utf-8",
        newline="",
    )
    monkeypatch.setattr("bus.disk.MOUNTS", mounts)
    assert filesystem(Path(folder)) == kind


@pytest.mark.parametrize(("options", "expected"), [("rw,errors=remount-ro", False), ("rw,errors=remount-ro,emergency_ro", True)])
def test_a_disk_that_failed_takes_no_writes_also_where_linux_still_calls_it_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, expected: bool
) -> None:
    """``bus doctor`` found nothing, and the remedy was to look whether the disk had become read-only."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 8:1 / / rw,relatime - ext4 /dev/sda1 {options}\n", "utf-8")
    monkeypatch.setattr("bus.disk.MOUNTS", mounts)
    assert is_read_only(tmp_path) == expected


@pytest.mark.parametrize(("number", "hint"), [(errno.EROFS, READ_ONLY), (errno.EACCES, "look at it")])
def test_a_folder_that_systemd_lets_nobody_write_is_told_as_that(number: int, hint: str) -> None:
    """`ReadWritePaths` of the units names one folder; whoever had another one read about disks, space and rights, of which none was wrong."""
    with pytest.raises(StoreError) as told, kept("it fails", code="keys.failed", hint="look at it"):
        raise OSError(number, os.strerror(number))
    assert told.value.hint == hint
    assert "ReadWritePaths" in READ_ONLY
