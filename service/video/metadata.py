"""The metadata of films, such as their title, and what of it a painted film keeps."""

_PLACE = "location"
"""Part of the keys of metadata that tell where a film was made."""
_OF_THE_FILE = ("major_brand", "minor_version", "compatible_brands", "encoder")
"""Keys of metadata that describe the source's file, and not the film."""


def kept(metadata: dict[str, str], *, keep_place: bool) -> dict[str, str]:
    """Return what a painted film keeps of its source's metadata.

    Args:
        metadata: What the source tells.
        keep_place: Whether the place where it was made is kept.
    """
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _OF_THE_FILE and (keep_place or _PLACE not in key.lower())
    }
