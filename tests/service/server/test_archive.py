import email
import email.policy
import io
import zipfile

import pytest

from service.server.archive import Entry, file_names, multipart, suffix_of, zipped

ENTRIES = [
    Entry("a.jpg", "image/jpeg", b"\xff\xd8 one", {"X-Model": "muse@1"}),
    Entry("bäume.png", "image/png", b"\r\n--\r\n", {}),
    Entry("c.problem.json", "application/problem+json", b"{}", {}),
]


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("cat.jpg", "cat.webp"),
        ("cat", "cat.webp"),
        ("holiday.2024.jpg", "holiday.2024.webp"),
        ("bäume.png", "bäume.webp"),
        ("../../etc/passwd", "passwd.webp"),
        ("C:\\photos\\cat.jpg", "cat.webp"),
        (".htaccess", "htaccess.webp"),
        ('a"b\r\nc:d.jpg', "a_b_c_d.webp"),
        ("con.jpg", "con_.webp"),
        ("x" * 300 + ".jpg", "x" * 50 + ".webp"),
        ("..", "picture-1.webp"),
        ("", "picture-1.webp"),
        (None, "picture-1.webp"),
    ],
)
def test_a_file_is_named_as_its_upload_and_is_safe_to_write(told: str | None, name: str) -> None:
    assert file_names([told], [".webp"]) == [name]


def test_no_two_files_have_the_same_name() -> None:
    names = file_names(["a.jpg", "A.png", "a", "a-2.jpg", None, None], [".png"] * 6)
    assert names == ["a.png", "A-2.png", "a-3.png", "a-2-2.png", "picture-5.png", "picture-6.png"]


def test_a_media_type_has_its_usual_suffix() -> None:
    assert [suffix_of(f"image/{each}") for each in ("jpeg", "png")] == [".jpg", ".png"]


def test_a_zip_holds_every_entry_in_its_order() -> None:
    with zipfile.ZipFile(io.BytesIO(zipped(ENTRIES))) as archive:
        assert archive.testzip() is None
        assert [(info.filename, archive.read(info)) for info in archive.infolist()] == [
            (entry.name, entry.content) for entry in ENTRIES
        ]
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())


def test_the_same_entries_make_the_same_bytes() -> None:
    assert zipped(ENTRIES) == zipped(ENTRIES)


def test_a_multipart_holds_every_entry_with_its_headers() -> None:
    head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    message = email.message_from_bytes(head + multipart(ENTRIES, "b"), policy=email.policy.HTTP)
    parts = list(message.iter_parts())
    assert [part.get_filename() for part in parts] == [entry.name for entry in ENTRIES]
    assert [part.get_content_type() for part in parts] == [entry.media_type for entry in ENTRIES]
    assert [part.get_payload(decode=True) for part in parts] == [entry.content for entry in ENTRIES]
    assert parts[0]["X-Model"] == "muse@1"
