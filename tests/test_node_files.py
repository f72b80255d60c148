"""node_list.json and the locales name the nodes and sockets that there are."""

from types import ModuleType
from typing import Any

import pytest

from tests import node_files

LANGUAGES = sorted(path.name for path in node_files.LOCALES.iterdir())
TRANSLATED = [language for language in LANGUAGES if language != "en"]


@pytest.fixture(scope="module")
def schemas(comfy: ModuleType) -> list[Any]:
    return [node.GET_SCHEMA() for node in comfy.nodes.NODES]


def test_generated_files_are_those_of_the_schemas(schemas):
    made = node_files.write_files(schemas)
    outdated = [p.name for p, text in made.items() if p.read_text(encoding="utf-8") != text]
    assert not outdated, "Run `python3 -m tests.docs --write`."


def test_there_are_three_languages():
    assert LANGUAGES == ["en", "ja", "zh"]


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_node_and_socket_is_translated(language):
    english, translated = node_files.read_locale("en"), node_files.read_locale(language)
    assert list(translated) == list(english)
    for node, texts in english.items():
        one = translated[node]
        assert one["display_name"] and one["description"] != texts["description"]
        for kind in ("inputs", "outputs"):
            assert list(one.get(kind, {})) == list(texts[kind]), node
            assert all(socket["name"] for socket in one.get(kind, {}).values())


def texts_in(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for each in value.values() for text in texts_in(each)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_has_characters_that_the_editor_takes_for_its_own(language):
    texts = texts_in(node_files.read_locale(language))
    assert len(texts) > 150
    assert [text for text in texts if set(text) & set(node_files.SPECIAL)] == []
