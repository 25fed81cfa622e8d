"""The effects of the options on pictures, through the whole pipeline."""

import asyncio
import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from model_store.store import Store
from service.codec import preferred
from service.contract.options import Options, StylizeOptions, SuperResolveOptions
from service.contract.problems import BadOption, BadPicture, TooLarge
from service.inference import pieces
from service.pipeline.answer import Answer
from service.pipeline.runtime import Runtime
from service.pipeline.settings import ComputeSettings

from ...picture_files import encoded, turned
from ..stores import Publish
from .making import make


@pytest.fixture
def runtime(store: Store, publish: Publish) -> Iterator[Runtime]:
    """Yield a runtime with styles `one` and `two` and a net for ×4, which takes up to 60,000 pixels."""
    publish("stylize", "one")
    publish("stylize", "two")
    publish("super-resolve", "x4-pixel", factor=4)
    runtime = Runtime(store, torch.device("cpu"), ComputeSettings(max_pixels=60_000))
    yield runtime
    runtime.close()


def answer(runtime: Runtime, options: Options, data: bytes) -> Answer:
    return asyncio.run(make(runtime, options, data))


def painted(runtime: Runtime, data: bytes, **options: object) -> Image.Image:
    return Image.open(io.BytesIO(answer(runtime, StylizeOptions(style="one", **options), data).content))


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(float)


# Strength and colour


def test_strength_is_smooth_between_the_photo_and_the_painting(
    runtime: Runtime, photo_png: bytes, photo: Image.Image
) -> None:
    none, some, full = (levels(painted(runtime, photo_png, strength=strength)) for strength in (0, 0.25, 1))
    assert np.array_equal(none, levels(photo))
    assert np.abs(some - (0.75 * none + 0.25 * full)).max() <= 0.51
    assert np.array_equal(full, levels(painted(runtime, photo_png)))


def test_a_strength_of_0_computes_nothing(runtime: Runtime, photo_png: bytes) -> None:
    photo, paint = (
        answer(runtime, StylizeOptions(style="one:1,two:1", strength=strength), photo_png) for strength in (0, 1)
    )
    assert (photo.batch, paint.batch) == (0, 1)
    assert photo.model == paint.model == "one@1:0.5,two@1:0.5"


def test_preserve_color_keeps_the_colours_of_the_photo(runtime: Runtime, photo: Image.Image) -> None:
    grey_png = encoded(photo.convert("L"))
    assert np.ptp(levels(painted(runtime, grey_png)), axis=-1).max() > 0
    assert np.ptp(levels(painted(runtime, grey_png, preserve_color=True)), axis=-1).max() == 0


@pytest.mark.parametrize(
    "options", [{}, {"strength": 0.5}, {"preserve_color": True}, {"size": 48}, {"stroke": 2}, {"style": "one:1,two:1"}]
)
def test_all_options_hold_for_light_nets(
    runtime: Runtime, publish: Publish, photo_png: bytes, options: dict[str, object]
) -> None:
    publish("stylize", "one-light")
    publish("stylize", "two-light")
    asked = StylizeOptions.model_validate({"style": "one", **options, "light": True})
    by_name = asked.model_copy(update={"style": asked.blend, "light": False})
    assert answer(runtime, asked, photo_png).content == answer(runtime, by_name, photo_png).content


def test_a_jpeg_at_strength_0_comes_back_within_the_error_of_jpeg(runtime: Runtime, photo: Image.Image) -> None:
    data = encoded(photo, "jpeg", quality=95)
    again = painted(runtime, data, strength=0, quality=95)
    assert again.format == "JPEG"
    assert np.abs(levels(again) - levels(Image.open(io.BytesIO(data)))).mean() < 1.5


# Size


@pytest.mark.parametrize(("size", "expected"), [(24, (24, 16)), (48, (48, 32)), (96, (96, 64))])
def test_the_longest_side_is_the_size_asked_for(
    runtime: Runtime, photo_png: bytes, size: int, expected: tuple[int, int]
) -> None:
    assert painted(runtime, photo_png, size=size).size == expected


@pytest.mark.parametrize("format", ["png", "jpeg", "tiff"])
def test_a_turned_upload_is_resized_upright(runtime: Runtime, photo: Image.Image, format: str) -> None:  # noqa: A002
    large = photo.resize((192, 128))
    resized = painted(runtime, encoded(large, format, exif=turned(6)), size=48, strength=0, format="png")
    reference = photo.rotate(-90, expand=True)
    assert resized.size == reference.size
    assert np.abs(levels(resized)[4:-4, 4:-4] - levels(reference)[4:-4, 4:-4]).mean() < 4


def test_resizing_does_not_mix_in_the_colours_of_transparent_pixels(runtime: Runtime) -> None:
    image = Image.new("RGBA", (96, 64), (0, 200, 0, 255))
    image.paste((255, 0, 255, 0), (0, 0, 47, 64))
    resized = painted(runtime, encoded(image), size=33, strength=0)
    red, green, _, alpha = np.moveaxis(levels(resized), -1, 0)
    assert red[alpha > 8].max() <= 8
    assert green[alpha > 8].min() >= 190
    assert (alpha[:, 0].max(), alpha[:, -1].min()) == (0, 255)


def test_a_size_may_make_a_side_shorter_than_the_nets_need(runtime: Runtime) -> None:
    assert painted(runtime, encoded(Image.new("RGB", (80, 20))), size=16).size == (16, 4)


def test_a_size_with_too_many_pixels_is_refused_before_it_is_computed(runtime: Runtime, photo_png: bytes) -> None:
    with pytest.raises(TooLarge, match="60,000"):
        painted(runtime, photo_png, size=10**6)


# Strokes


def test_a_broad_stroke_is_a_smaller_painting_enlarged(runtime: Runtime, photo: Image.Image) -> None:
    large = photo.resize((144, 96), Image.Resampling.BICUBIC)
    small = large.resize((36, 24), Image.Resampling.BICUBIC)
    broad = painted(runtime, encoded(large), stroke=4)
    small_painting = painted(runtime, encoded(small))
    enlarged = Image.open(io.BytesIO(answer(runtime, SuperResolveOptions(factor=4), encoded(small_painting)).content))
    assert np.array_equal(levels(broad), levels(enlarged))


@pytest.mark.parametrize("stroke", [1.5, 2, 3])
def test_a_painting_with_any_stroke_has_the_size_of_the_photo(
    runtime: Runtime, photo: Image.Image, stroke: float
) -> None:
    turned_photo = encoded(photo.resize((141, 94)), "jpeg", exif=turned(6))
    assert painted(runtime, turned_photo, stroke=stroke).size == (94, 141)


def test_the_progress_of_a_painting_with_a_broad_stroke_counts_painting_and_enlarging_as_one(
    runtime: Runtime, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.inference.tiles.TILE_BYTES", 1)  # the enlargement is in tiles, the painting is whole
    large = encoded(photo.resize((240, 160)))
    told: list[float] = []
    for _ in range(2):  # how long both take is known from the first time
        told.clear()
        with pieces.told_to(told.append):
            painted(runtime, large, stroke=1.25)
    assert len(told) > 1
    assert told == sorted(told)
    assert 0 < told[0] < told[-1] < 1


def test_a_painting_with_a_broad_stroke_can_be_mixed_with_its_photo(runtime: Runtime, photo: Image.Image) -> None:
    upload = encoded(photo.resize((144, 96)))
    photo_itself, half, whole = (levels(painted(runtime, upload, stroke=2, strength=each)) for each in (0, 0.5, 1))
    assert np.abs(half - (photo_itself + whole) / 2).max() <= 1


def test_a_stroke_may_be_so_broad_that_little_is_painted(runtime: Runtime, photo: Image.Image) -> None:
    assert painted(runtime, encoded(photo), stroke=4).size == photo.size


# Factors


def test_an_enlargement_by_2_is_an_enlargement_by_4_halved(runtime: Runtime, photo_png: bytes) -> None:
    twice, fourfold = (
        Image.open(io.BytesIO(answer(runtime, SuperResolveOptions(factor=factor), photo_png).content))
        for factor in (2, 4)
    )
    assert (twice.size, fourfold.size) == ((96, 64), (192, 128))
    assert np.abs(levels(twice) - levels(fourfold.resize(twice.size, Image.Resampling.BICUBIC))).max() <= 1


def test_alpha_is_enlarged_by_2_too(runtime: Runtime, photo: Image.Image) -> None:
    image = photo.copy()
    image.putalpha(Image.fromarray(np.linspace(0, 255, 48).astype(np.uint8)[None].repeat(32, axis=0)))
    twice = Image.open(io.BytesIO(answer(runtime, SuperResolveOptions(factor=2), encoded(image)).content))
    assert (twice.mode, twice.size) == ("RGBA", (96, 64))
    mask = image.getchannel("A").resize((96, 64), Image.Resampling.BICUBIC)
    assert np.array_equal(levels(twice.getchannel("A")), levels(mask))


@pytest.mark.parametrize("scale", [1, 1.5, 2.51, 4])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_scale_is_any_number_and_sides_are_rounded(runtime: Runtime, scale: float, mode: str) -> None:
    upload = encoded(Image.new(mode, (33, 24), (200, 100, 50) if mode == "RGB" else (200, 100, 50, 99)))
    made = Image.open(io.BytesIO(answer(runtime, SuperResolveOptions(scale=scale), upload).content))
    assert made.size == (round(33 * scale), round(24 * scale))
    assert made.mode == mode


def test_a_scale_above_4_takes_the_net_for_8() -> None:
    assert [part.label for part in SuperResolveOptions(scale=4.01).blend.parts] == ["x8-pixel"]
    assert [part.label for part in SuperResolveOptions(scale=1).blend.parts] == ["x4-pixel"]


@pytest.mark.parametrize(
    ("size", "net"), [(33, "x4-pixel"), (100, "x4-pixel"), (132, "x4-pixel"), (133, "x8-pixel"), (264, "x8-pixel")]
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_longest_side_of_an_enlargement_is_the_size_asked_for(
    runtime: Runtime, publish: Publish, mode: str, size: int, net: str
) -> None:
    publish("super-resolve", "x8-pixel", factor=8)
    upload = encoded(Image.new(mode, (24, 33), (200, 100, 50) if mode == "RGB" else (200, 100, 50, 99)))
    made = answer(runtime, SuperResolveOptions(size=size), upload)
    assert made.model == f"{net}@1"
    image = Image.open(io.BytesIO(made.content))
    assert (image.size, image.mode) == ((round(24 * size / 33), size), mode)


def test_a_size_makes_the_picture_that_its_scale_makes(runtime: Runtime, photo_png: bytes) -> None:
    by_size, by_scale = (
        answer(runtime, options, photo_png).content
        for options in (SuperResolveOptions(size=120), SuperResolveOptions(scale=2.5))
    )
    assert by_size == by_scale


@pytest.mark.parametrize(
    ("size", "advice"),
    [
        (47, "longest side has 48 pixels.*ask for size=48 or more"),
        (385, "8 times.*of 48 pixels: ask for size=384 or less"),
    ],
)
def test_a_size_that_is_no_enlargement_up_to_8_is_refused_with_the_sizes_that_are(
    runtime: Runtime, photo_png: bytes, size: int, advice: str
) -> None:
    with pytest.raises(BadPicture, match=advice):
        answer(runtime, SuperResolveOptions(size=size), photo_png)


@pytest.mark.parametrize(
    "given", [{"factor": 8, "scale": 3}, {"factor": 4, "scale": 4}, {"factor": 4, "size": 99}, {"scale": 2, "size": 99}]
)
def test_only_one_option_says_how_much_to_enlarge(given: dict[str, float]) -> None:
    with pytest.raises(BadOption, match=f"{' and '.join(given)} each say how much to enlarge"):
        SuperResolveOptions(**given)


def test_the_factor_is_4_where_nothing_says_how_much_to_enlarge() -> None:
    assert SuperResolveOptions() == SuperResolveOptions(factor=4, scale=None, size=None)


def test_colours_of_transparent_pixels_do_not_reach_an_enlargement(runtime: Runtime) -> None:
    green = Image.new("RGBA", (32, 24), (0, 200, 0, 255))
    hidden = green.copy()
    hidden.paste((255, 0, 255, 0), (0, 0, 16, 24))
    green.paste((0, 200, 0, 0), (0, 0, 16, 24))
    a, b = (answer(runtime, SuperResolveOptions(factor=4), encoded(image)).content for image in (green, hidden))
    assert a == b


# Formats


@pytest.mark.parametrize(("upload", "expected"), [("tiff", "PNG"), ("gif", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_auto_is_the_format_of_the_upload_or_its_substitute(
    runtime: Runtime, photo: Image.Image, upload: str, expected: str
) -> None:
    assert painted(runtime, encoded(photo, upload)).format == expected


# Profiles


@pytest.fixture(scope="module")
def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def exchanged_primaries(srgb: bytes) -> bytes:
    """Return a profile like sRGB in which red and blue have changed places."""
    return srgb.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")


def test_the_profile_of_the_upload_is_that_of_the_answer(runtime: Runtime, photo: Image.Image, srgb: bytes) -> None:
    assert painted(runtime, encoded(photo, icc_profile=srgb)).info["icc_profile"] == srgb
    assert "icc_profile" not in painted(runtime, encoded(photo)).info


def test_a_strength_of_0_gives_back_the_photo_in_its_own_profile(
    runtime: Runtime, photo: Image.Image, exchanged_primaries: bytes
) -> None:
    again = painted(runtime, encoded(photo, icc_profile=exchanged_primaries), strength=0)
    assert again.info["icc_profile"] == exchanged_primaries
    assert np.array_equal(levels(again), levels(photo))


def test_the_net_sees_srgb_and_the_painting_is_brought_back(
    runtime: Runtime, photo: Image.Image, exchanged_primaries: bytes
) -> None:
    as_seen = Image.fromarray(np.asarray(photo)[..., ::-1].copy())
    in_profile = painted(runtime, encoded(photo, icc_profile=exchanged_primaries))
    assert np.abs(levels(in_profile)[..., ::-1] - levels(painted(runtime, encoded(as_seen)))).mean() < 2


def test_an_enlargement_keeps_colours_that_srgb_does_not_have(
    runtime: Runtime, photo: Image.Image, srgb: bytes
) -> None:
    options = SuperResolveOptions(factor=4)
    wide = srgb.replace(b"rXYZ", b"----").replace(b"gXYZ", b"rXYZ").replace(b"----", b"gXYZ")
    plainly, in_profile = (
        Image.open(io.BytesIO(answer(runtime, options, data).content))
        for data in (encoded(photo), encoded(photo, icc_profile=wide))
    )
    assert np.array_equal(levels(plainly), levels(in_profile))
    assert in_profile.info["icc_profile"] == wide


def test_an_upload_that_is_not_rgb_is_answered_with_the_profile_of_srgb(
    runtime: Runtime, photo: Image.Image, srgb: bytes
) -> None:
    lab = ImageCms.createProfile("LAB")
    picture = ImageCms.profileToProfile(photo, ImageCms.createProfile("sRGB"), lab, outputMode="LAB")
    data = encoded(picture, "tiff", icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    again = painted(runtime, data, strength=0)
    assert ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(again.info["icc_profile"]))).strip() == (
        ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(srgb))).strip()
    )
    assert np.abs(levels(again) - levels(photo)).mean() < 2


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "auto"),
        ("*/*", "auto"),
        ("image/webp", "webp"),
        ("IMAGE/AVIF;q=0.5, image/webp;q=0.9", "webp"),
        ("image/avif, image/webp", "avif"),
        ("image/avif, image/webp, image/*, */*;q=0.8", "auto"),
        ("image/png, */*;q=0.1", "png"),
        ("image/png;q=0, image/jpeg;q=0.1", "jpeg"),
        ("image/png;q=soon", "auto"),
        ("application/json, image/bmp", "auto"),
    ],
)
def test_a_format_is_chosen_by_what_the_client_accepts(accept: str, expected: str) -> None:
    assert preferred(accept) == expected


def test_the_option_format_takes_precedence_over_the_header_accept(http: httpx.Client, photo_png: bytes) -> None:
    formats = [
        http.post(f"/stylize?style=muse&strength=0{query}", content=photo_png, headers={"Accept": accept}).headers[
            "Content-Type"
        ]
        for query, accept in (("", "*/*"), ("", "image/webp"), ("&format=jpeg", "image/webp"))
    ]
    assert formats == ["image/png", "image/webp", "image/jpeg"]


def test_the_number_of_frames_of_an_animation_is_in_the_headers(
    http: httpx.Client, photo: Image.Image, photo_png: bytes
) -> None:
    animation = encoded(photo, "gif", save_all=True, append_images=[Image.new("RGB", photo.size)] * 4)
    headers = [http.post("/stylize?style=muse&strength=0", content=data).headers for data in (animation, photo_png)]
    assert [each.get("X-Frames") for each in headers] == ["2", None]


@pytest.mark.parametrize(
    "query", ["strength=1.1", "strength=-0.1", "strength=nan", "size=15", "size=none", "preserve_color=perhaps"]
)
def test_an_option_out_of_range_is_refused_by_name(http: httpx.Client, photo_png: bytes, query: str) -> None:
    response = http.post(f"/stylize?style=muse&{query}", content=photo_png)
    assert response.status_code == 422
    assert query.partition("=")[0] in response.json()["detail"]
