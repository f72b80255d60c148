"""The rules of .github/CONTRIBUTING.md that a search can check: words, lengths and paths."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("idpatch_core", "nodes", "tests", "web", "workflows", ".github")
SUFFIXES = (".py", ".js", ".ts", ".css", ".html", ".json", ".md", ".toml", ".yaml", ".yml")
FOREIGN = ("tests/data", "idpatch_core/demo/models/tokenizer")
LONGEST = {".py": 300, ".js": 450}  # lines
LONGER: set[str] = set()  # files that may be longer, because their topic is whole
KEPT = 'COUNT_PHRASES = ("nobody"'  # a word of the demo models' tokenizer
# What not to write -> what to write.
WORDS = {
    r"(every|some|any|no)body|everyone": "each person, someone, no one",
    r"pictures?": "image",
    r"face features?|512-vectors?": "embedding",
    r"judges?": "evaluators, frozen networks",
    r"flatter(s|ed|ing)?": "is biased upwards",
    r"(go|goes|going|went) on (where|from)": "resumes",
    r"what learns|which learns|that learn": "trainable",
    r"last but one": "penultimate",
    r"shares? of the (image|canvas)": "normalised",
    r"(are|not|least|more|most|hardly) alike|less likeness": "resembles",
    r"know no|knows no": "were not trained on",
    r"puts? (it|them) right": "fixes",
    r"where they (are to )?stand": "placement",
    r"by heart|gone back through|goes back through": "fixed; needs a backward pass",
    r"(of|that|which) (its|their) own memory|memory of (its|their) own": "copied",
    r"has not got|have not got|which the \w+ have not": "does not have",
    r"all_of|of_faces|kept_as|keep_only_trained|fit_plugins|halve_frozen": "a verb and its object",
}


def texts() -> Iterator[Path]:
    """Yield the files that people read and write, without those of other projects."""
    yield from sorted(path for path in ROOT.glob("*") if path.suffix in SUFFIXES)
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            other = name.startswith(FOREIGN) or path == Path(__file__)
            if path.suffix in SUFFIXES and not other:
                yield path


@pytest.mark.parametrize(("pattern", "instead"), WORDS.items(), ids=WORDS.values())
def test_plain_words(pattern, instead):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(rf"\b({pattern})\b", line, re.IGNORECASE) and not line.startswith(KEPT)
    ]
    assert not found, f"Write: {instead}\n" + "\n".join(found)


def test_files_of_the_product_are_short():
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("idpatch_core", "nodes", "web")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in LONGEST
    }
    assert len(lengths) > 80
    longer = {name for name, lines in lengths.items() if lines > LONGEST[Path(name).suffix]}
    assert longer == LONGER


@pytest.mark.parametrize("name", ["README.md", ".github/CONTRIBUTING.md"])
def test_documents_name_files_that_exist(name):
    document = ROOT / name
    text = document.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    paths = re.findall(r"`((?:idpatch_core|nodes|web|tests|workflows|\.github)/[^`\s]*)`", text)
    named = [document.parent / unquote(link) for link in links]
    named += [ROOT / path for path in paths if not re.search("NAME|NODE_ID", path)]
    assert len(named) > 5
    assert [str(path) for path in named if not path.exists()] == []
