import pytest

from idpatch_core.comfyui.uploads import hash_content, shorten, upload_name

DIGEST = hash_content(b"a face")


@pytest.mark.parametrize(
    ("name", "uploaded"),
    [
        ("portrait.png", f"portrait-{DIGEST[:16]}.png"),
        ("安娜 的照片.jpg", f"安娜 的照片-{DIGEST[:16]}.jpg"),
        ("हिन्दी.jpg", f"हिन्दी-{DIGEST[:16]}.jpg"),
        ('a"b;c\\d\n/../e%41.png', f"e_41-{DIGEST[:16]}.png"),
        ("photo [output]", f"photo _output_-{DIGEST[:16]}"),
        ("\udce9.png", f"_-{DIGEST[:16]}.png"),
        (".png", f".png-{DIGEST[:16]}"),
        ("", f"image-{DIGEST[:16]}"),
    ],
)
def test_a_file_keeps_its_name_and_gets_its_hash(name, uploaded):
    assert upload_name(name, DIGEST) == uploaded


def test_two_contents_have_two_names():
    assert upload_name("a.png", DIGEST) != upload_name("a.png", hash_content(b"another face"))


@pytest.mark.parametrize("letter", ["a", "é", "安", "𐌰"])
def test_a_long_name_is_cut_between_letters(letter):
    name = upload_name(letter * 300 + "." + letter * 300, DIGEST)
    assert len(name.encode()) <= 143
    assert name.startswith(letter * 20)


def test_only_whole_letters_are_kept():
    assert shorten("安安", 5) == "安"
