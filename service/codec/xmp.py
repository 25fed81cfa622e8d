"""The XMP of an upload, without what its answer no longer has: gain maps, videos, depths, thumbnails, sizes."""

import logging
import re
from typing import cast
from xml.dom import minidom
from xml.dom.minidom import Attr, Document, Element
from xml.parsers.expat import ExpatError

_LARGEST = 1024**2
"""Largest number of bytes of XMP that is kept."""
_PANORAMA = "http://ns.google.com/photos/1.0/panorama/"
_LEFT_OUT = re.compile(
    r"http://ns\.google\.com/(photos|videos)/(?!1\.0/panorama/)|http://ns\.adobe\.com/(hdr-gain-map|hdr-metadata)/"
    r"|http://ns\.apple\.com/|http://ns\.(oplus|xiaomi|samsung|vivo|huawei|honor)\.com/|urn:iso:std:iso:ts:21496"
    r"|http://ns\.adobe\.com/xmp/(note|1\.0/se/)|http://ns\.leiainc\.com/|http://ns\.adobe\.com/xap/1\.0/g/img/"
)
"""Namespaces of what lies behind or beside the picture in the upload's file, and of what phones tell of it."""
_TIFF, _EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_NAMES_LEFT_OUT = frozenset(
    {
        *((_TIFF, name) for name in ("Orientation", "ImageWidth", "ImageLength", "BitsPerSample", "Compression")),
        *((_TIFF, name) for name in ("PhotometricInterpretation", "SamplesPerPixel", "PlanarConfiguration")),
        *((_EXIF, name) for name in ("PixelXDimension", "PixelYDimension")),
        (_XMP, "Thumbnails"),
    }
)
"""Properties that describe how the upload was stored."""
_SIZES = re.compile(r"(CroppedArea|FullPano)(Image)?(Width|Height|Left|Top)(Pixels)?|Initial.*|.*Pixels")
"""Properties of a panorama that are numbers of pixels."""
_log = logging.getLogger(__name__)


def of_answer(content: bytes, ratio: float | None) -> bytes | None:
    """Return the XMP that an answer keeps, or None if it cannot be read.

    Args:
        content: The XMP of the upload.
        ratio: Factor by which the answer is larger than the upload, for the sizes of a panorama; None if it is turned,
            so that they are left out.
    """
    if len(content) > _LARGEST or re.search(rb"<!(DOCTYPE|ENTITY)|\0", content):
        _log.info("XMP left out: it is too large, or not as XMP is")
        return None
    try:
        document = minidom.parseString(_document_of(content))  # noqa: S318  (there are no entities)
        _clean(document.documentElement, ratio)
        return _packet(document)
    except (ExpatError, ValueError, RecursionError) as error:
        _log.info("XMP left out: %s", error)
        return None


def _document_of(content: bytes) -> bytes:
    """Return the element of the XMP, without the packet's instructions and padding around it."""
    start, end = content.find(b"<"), content.rfind(b">")
    return content[start : end + 1]


def _packet(document: Document) -> bytes:
    root = cast("Element", document.documentElement)
    return (
        b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        + root.toxml().encode()
        + b'<?xpacket end="w"?>'
    )


def _clean(element: Element | None, ratio: float | None) -> None:
    """Remove the attributes and elements that are left out, with the declarations of their namespaces."""
    if element is None:
        return
    for attribute in list((element.attributes or {}).values()):
        declared = attribute.value if attribute.name.startswith("xmlns") else ""
        if _is_left_out(attribute) or _LEFT_OUT.match(declared):
            element.removeAttributeNode(attribute)
        elif attribute.namespaceURI == _PANORAMA and _SIZES.fullmatch(attribute.localName or ""):
            _resize(element, attribute, ratio)
    for child in list(element.childNodes):
        if not isinstance(child, Element):
            continue
        if _is_left_out(child):
            element.removeChild(child)
        elif child.namespaceURI == _PANORAMA and _SIZES.fullmatch(child.localName or ""):
            text = child.firstChild
            scaled = _scaled(text.data if isinstance(text, minidom.Text) else "", ratio)
            if scaled is None:
                element.removeChild(child)
            else:
                cast("minidom.Text", text).data = scaled
        else:
            _clean(child, ratio)


def _is_left_out(node: Element | Attr) -> bool:
    space, name = node.namespaceURI or "", node.localName or ""
    return bool(_LEFT_OUT.match(space)) or (space, name) in _NAMES_LEFT_OUT


def _resize(element: Element, attribute: Attr, ratio: float | None) -> None:
    scaled = _scaled(attribute.value, ratio)
    if scaled is None:
        element.removeAttributeNode(attribute)
    else:
        attribute.value = scaled


def _scaled(value: str, ratio: float | None) -> str | None:
    """Return a number of pixels of the upload as one of the answer, or None if there is none."""
    number = re.fullmatch(r"\s*(\d{1,7})(\.\d*)?\s*", value)
    return None if number is None or ratio is None else str(round(int(number[1]) * ratio))
