import pytest

from service.contract.blend import Blend, Part
from service.contract.options import StylizeOptions, SuperResolveOptions
from service.contract.problems import BadOption


@pytest.mark.parametrize("text", ["muse", "muse@2"])
def test_a_label_alone_has_the_whole_share(text: str) -> None:
    assert Blend.parse(text) == Blend((Part(text, 1.0),))


@pytest.mark.parametrize("text", ["a:0.7,b@2:0.3", "a:7,b@2:3", "a:.7,b@2:.3", "a:70e-2,b@2:3e-1", "a:0.703,b@2:0.297"])
def test_shares_are_divided_by_their_sum_and_rounded_to_hundredths(text: str) -> None:
    assert Blend.parse(text).parts == (Part("a", 0.7), Part("b@2", 0.3))


@pytest.mark.parametrize("text", ["a:1,b:0", "b:0.001,a:1", "a:5"])
def test_parts_whose_share_rounds_to_0_are_left_out(text: str) -> None:
    assert Blend.parse(text).parts == (Part("a", 1.0),)


def test_a_blend_has_up_to_eight_parts() -> None:
    pieces = [f"{letter}:1" for letter in "abcdefghi"]
    assert [part.label for part in Blend.parse(",".join(pieces[:8])).parts] == list("abcdefgh")
    with pytest.raises(BadOption, match="at most 8 parts, not 9"):
        Blend.parse(",".join(pieces))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a:0.5,b", "'b' of the blend has no share"),
        ("a,b", "'a' of the blend has no share"),
        ("a:1,", "'' of the blend has no share"),
        ("a:much", "'much' cannot be the share of 'a'"),
        ("a:", "'' cannot be the share of 'a'"),
        ("a:1:1", "'1:1' cannot be the share of 'a'"),
        ("a:1,b:-0.1", "'-0.1' cannot be the share of 'b'"),
        ("a:nan,b:1", "'nan' cannot be the share of 'a'"),
        ("a:inf,b:1", "'inf' cannot be the share of 'a'"),
        ("a:0,b:0", "add up to 0"),
        ("a:1e308,b:1e308", "add up to inf"),
    ],
)
def test_text_that_is_no_blend_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadOption, match=says):
        Blend.parse(text)


@pytest.mark.parametrize(
    ("fidelity", "parts"),
    [
        (1.0, [Part("x4-pixel", 1.0)]),
        (0.75, [Part("x4-pixel", 0.75), Part("x4-feature", 0.25)]),
        (0.7, [Part("x4-pixel", 0.7), Part("x4-feature", 0.3)]),
        (1e-5, [Part("x4-feature", 1.0)]),
        (0.0, [Part("x4-feature", 1.0)]),
    ],
)
def test_fidelity_is_the_share_of_the_pixel_net(fidelity: float, parts: list[Part]) -> None:
    assert list(SuperResolveOptions(factor=4, fidelity=fidelity).blend.parts) == parts


def test_the_net_for_blurred_pictures_has_a_name_of_its_own() -> None:
    assert SuperResolveOptions(factor=4, blurred=True).blend == Blend.of("x4-pixel-blurred")


def test_blurred_pictures_are_enlarged_at_full_fidelity_only() -> None:
    with pytest.raises(BadOption, match="leave out blurred or fidelity"):
        SuperResolveOptions(factor=4, blurred=True, fidelity=0.9)


@pytest.mark.parametrize("text", ["muse", "muse@2", "muse:0.7,candy@1:0.3"])
def test_a_blend_is_written_as_the_text_that_it_was_read_from(text: str) -> None:
    assert str(Blend.parse(text)) == text


def test_a_factor_of_2_is_made_by_the_net_for_4() -> None:
    assert SuperResolveOptions(factor=2).blend == Blend.of("x4-pixel")


def test_light_nets_are_blended_by_the_same_shares() -> None:
    options = StylizeOptions(style="muse:0.7,candy@2:0.3", light=True)
    assert str(options.blend) == "muse-light:0.7,candy-light@2:0.3"
