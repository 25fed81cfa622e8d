"""The names of light nets."""

from model_store.naming import full_name, light_label, with_light_nets, without_light_nets


def test_a_light_net_has_the_name_of_its_model_and_light() -> None:
    assert light_label("muse") == "muse-light"
    assert light_label("muse@2") == "muse-light@2"
    assert full_name("muse-light") == "muse"
    assert full_name("muse") is None


def test_names_are_told_apart_by_whether_they_have_a_light_net() -> None:
    names = ["candy", "moon-light", "muse", "muse-light"]
    assert with_light_nets(names) == ["muse"]
    assert without_light_nets(names) == ["candy", "moon-light", "muse"]
