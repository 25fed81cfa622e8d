"""What libtiff has to say of broken pictures."""

import io

import pytest
from PIL import Image

from service.codec import decode, read_header
from service.contract.problems import BadPicture


@pytest.mark.parametrize("compression", ["tiff_lzw", "lzma"])
def test_a_broken_picture_is_refused_and_nothing_is_written_to_stderr(
    compression: str, capfd: pytest.CaptureFixture[str]
) -> None:
    file = io.BytesIO()
    Image.radial_gradient("L").save(file, "TIFF", compression=compression)
    broken = bytearray(file.getvalue())
    broken[1000:1040] = bytes(range(200, 240))
    with pytest.raises(BadPicture):
        decode(read_header(bytes(broken), 10**6))
    assert capfd.readouterr().err == ""
