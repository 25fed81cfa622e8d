"""Gallery files: the settings that they give to styles, and the errors of files that are not valid."""

from pathlib import Path

import pytest

from model_store.store import BUNDLED, Store
from trainer.errors import BadGallery
from trainer.galleries.gallery_file import Style, choose, find_gallery, read_gallery
from trainer.recipes import STYLE_RECIPES, StyleRecipe

STARTED = {"architecture": "style-net", "width": 8, "residual_blocks": 2}


def read(folder: Path, text: str, *loss_networks: str) -> list[Style]:
    path = folder / "gallery.toml"
    path.write_text(text)
    return read_gallery(path, folder / "paintings", loss_networks)


def test_a_style_has_the_defaults_and_its_own_settings(tmp_path: Path) -> None:
    first, second = read(
        tmp_path,
        """
        [defaults]
        style_weight = 12
        licence = "Apache-2.0"

        [candy]
        picture = "candy.jpg"
        title = "Candy"

        [muse]
        picture = "muse.jpg"
        style_weight = 8
        style_taps = ["relu1_1", "relu2_1=0.5"]
        """,
    )
    assert (first.name, first.picture, first.title) == ("candy", tmp_path / "paintings/candy.jpg", "Candy")
    assert first.recipe(None) == StyleRecipe(style_weight=12)
    assert second.recipe(None) == StyleRecipe(style_weight=8, style_taps=("relu1_1", "relu2_1=0.5"))
    assert second.licence == "Apache-2.0"


def test_a_style_that_starts_from_a_net_is_fine_tuned_and_has_its_width(tmp_path: Path) -> None:
    (style,) = read(tmp_path, '[candy]\npicture = "candy.jpg"\nfrom = "muse@1"')
    assert style.start == "muse@1"
    recipe = style.recipe(STARTED)
    assert (recipe.steps, recipe.width) == (STYLE_RECIPES["fine-tune"].steps, 8)


def test_a_style_may_begin_with_a_named_recipe(tmp_path: Path) -> None:
    (style,) = read(tmp_path, '[candy]\npicture = "candy.jpg"\nrecipe = "laptop"\nsteps = 7')
    assert style.recipe(None) == STYLE_RECIPES["laptop"].model_copy(update={"steps": 7})


def test_files_are_given_to_the_loss_networks_that_are_named(tmp_path: Path) -> None:
    text = """
        [candy]
        picture = "candy.jpg"
        loss_networks = ["vgg16-caffe", "vgg19"]
        """
    (style,) = read(tmp_path, text, "vgg16-caffe:weights.safetensors")
    assert style.recipe(None).loss_networks == ("vgg16-caffe:weights.safetensors", "vgg19")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[candy", "cannot read the gallery"),
        ("", "has no styles"),
        ("[defaults]\nsteps = 3", "has no styles"),
        ("steps = 3", "steps is not a table"),
        ("[candy]\nsteps = 3", "candy: picture: Field required"),
        ('[candy]\npicture = "a.jpg"\nstyle_wieght = 3', "candy: there is no setting style_wieght (did you mean style"),
        ('[defaults]\nstpes = 3\n[candy]\npicture = "a.jpg"', "defaults: there is no setting stpes"),
        ('[candy]\npicture = "a.jpg"\nsteps = 0', "candy: steps: Input should be greater than or equal to 1"),
        ('[candy]\npicture = "a.jpg"\nfrom = 3', "candy: from: Input should be a valid string"),
        ('[candy]\npicture = "a.jpg"\nrecipe = "labtop"', "candy: there is no recipe labtop (did you mean laptop?)"),
        (
            '[candy]\npicture = "a.jpg"\nlosses = "absolute"',
            "candy: other losses need content_weight, style_weight and variation_weight",
        ),
        (
            '[candy]\npicture = "a.jpg"\nearly_size = 64\nearly_share = 0.8\nlate_size = 96\nlate_share = 0.3',
            "candy: early_share and late_share are more than 1 together",
        ),
        ('[Candy]\npicture = "a.jpg"', "'Candy' cannot name a model"),
    ],
)
def test_a_setting_that_is_not_valid_is_refused_with_the_style_and_the_key(
    tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(BadGallery) as caught:
        read(tmp_path, text)
    assert sentence in str(caught.value)


def test_a_loss_network_that_no_style_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadGallery, match="no style of the gallery has the loss network vgg16"):
        read(tmp_path, '[candy]\npicture = "a.jpg"', "vgg16:weights.safetensors")


def test_styles_are_chosen_by_name_in_the_order_of_the_file(tmp_path: Path) -> None:
    styles = read(tmp_path, "".join(f'[{name}]\npicture = "a.jpg"\n' for name in ("candy", "muse", "udnie")))
    assert [style.name for style in choose(styles, ["udnie", "candy"])] == ["candy", "udnie"]
    assert choose(styles, []) == styles
    with pytest.raises(BadGallery, match=r"no style mues in the gallery \(did you mean muse\?\)"):
        choose(styles, ["mues"])


def test_the_bundled_styles_are_a_gallery_of_the_project() -> None:
    styles = read_gallery(find_gallery("bundled"), Path("paintings"))
    store = Store(BUNDLED)
    assert sorted(style.name for style in styles) == store.names("stylize")
    for style in styles:
        assert style.start is not None
        card = store.card("stylize", *style.start.split("@")[:1], int(style.start.split("@")[1]))
        assert style.recipe({"architecture": card.architecture, **card.parameters}).width == card.parameters["width"]
        assert style.title == card.title


def test_a_gallery_that_does_not_exist_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadGallery, match=r"there is no file nowhere\.toml: .* of the project: bundled"):
        find_gallery("nowhere.toml")
