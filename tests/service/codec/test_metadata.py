"""The EXIF and XMP of an upload that its answer keeps."""

import io

import pytest
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from service import codec
from service.contract.options import Format

from ...picture_files import encoded

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"><about tiff:Orientation="6" dc:title="Boat"/></x:xmpmeta>'
)
FORMATS = ["jpeg", "png", "webp", "avif"]


def exif() -> Image.Exif:
    exif = Image.Exif()
    exif.update({Base.Make: "Acme", Base.Model: "One", Base.Artist: "Ada", Base.Copyright: "Ada 2024"})
    exif.update({Base.DateTime: "2024:05:06 07:08:09", Base.Orientation: 6})
    exif.get_ifd(IFD.Exif).update(
        {
            Base.DateTimeOriginal: "2024:05:06 07:08:09",
            Base.FNumber: 2.8,
            Base.MakerNote: b"secret note",
            Base.BodySerialNumber: "SN-12345",
            Base.ExifImageWidth: 48,
        }
    )
    exif.get_ifd(IFD.GPSInfo).update({GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (52.0, 31.0, 12.0)})
    return exif


def answered(photo: Image.Image, upload: str, format: Format, *, keep_metadata: bool) -> Image.Image:  # noqa: A002
    """Return a photo with metadata, after it was decoded from one format and encoded in another."""
    xmp = {"xmp": XMP} if upload in ("jpeg", "webp", "avif") else {}
    file = encoded(photo, upload, exif=exif().tobytes(), **xmp)
    picture = codec.decode(codec.read_header(file, 10_000), keep_metadata=keep_metadata)
    return Image.open(io.BytesIO(codec.encode(picture._replace(format=format), 90)))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("upload", [*FORMATS, "tiff"])
def test_the_camera_the_date_and_the_author_are_kept(photo: Image.Image, upload: str, format: Format) -> None:  # noqa: A002
    said = answered(photo, upload, format, keep_metadata=False).getexif()
    kept = [said.get(tag) for tag in (Base.Make, Base.Model, Base.Artist, Base.Copyright, Base.DateTime)]
    assert kept == ["Acme", "One", "Ada", "Ada 2024", "2024:05:06 07:08:09"]
    details = said.get_ifd(IFD.Exif)
    assert (details[Base.DateTimeOriginal], float(details[Base.FNumber])) == ("2024:05:06 07:08:09", 2.8)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("upload", [*FORMATS, "tiff"])
def test_the_place_notes_and_serial_number_are_left_out(photo: Image.Image, upload: str, format: Format) -> None:  # noqa: A002
    image = answered(photo, upload, format, keep_metadata=False)
    said = image.getexif()
    assert not said.get_ifd(IFD.GPSInfo)
    assert not {Base.MakerNote, Base.BodySerialNumber} & set(said.get_ifd(IFD.Exif))
    assert not {"xmp", "XML:com.adobe.xmp"} & set(image.info)
    assert all(secret not in image.info["exif"] for secret in (b"secret note", b"SN-12345"))


@pytest.mark.parametrize("keep_metadata", [False, True])
@pytest.mark.parametrize("upload", [*FORMATS, "tiff"])
def test_the_answer_is_upright_and_has_no_orientation(photo: Image.Image, upload: str, *, keep_metadata: bool) -> None:
    image = answered(photo, upload, "png", keep_metadata=keep_metadata)
    assert image.size == photo.size[::-1]
    assert Base.Orientation not in image.getexif()
    assert b"Orientation" not in image.info.get("xmp", b"")
    assert Base.ExifImageWidth not in image.getexif().get_ifd(IFD.Exif)


@pytest.mark.parametrize("format", FORMATS)
def test_all_metadata_is_kept_with_keep_metadata(photo: Image.Image, format: Format) -> None:  # noqa: A002
    image = answered(photo, "jpeg", format, keep_metadata=True)
    said = image.getexif()
    assert said.get_ifd(IFD.GPSInfo)[GPS.GPSLatitude] == (52.0, 31.0, 12.0)
    assert said.get_ifd(IFD.Exif)[Base.MakerNote] == b"secret note"
    xmp = image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()
    assert b'dc:title="Boat"' in xmp


def test_metadata_that_a_jpeg_has_no_room_for_is_left_out(photo: Image.Image) -> None:
    picture = codec.DecodedPicture(
        codec.decode(codec.read_header(png(photo), 10_000)).pixels,
        None,
        "jpeg",
        metadata=codec.Metadata(exif=b"Exif\0\0" + bytes(70_000), xmp=bytes(70_000)),
    )
    assert "exif" not in Image.open(io.BytesIO(codec.encode(picture, 90))).info


def test_a_picture_without_metadata_gets_none(photo: Image.Image) -> None:
    picture = codec.decode(codec.read_header(png(photo), 10_000))
    assert (picture.profile, picture.metadata) == (None, codec.Metadata())


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
