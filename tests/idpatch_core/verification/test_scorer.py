import json
import sys

import numpy as np
import pytest
from scorers import fetch_recogniser

from idpatch_core.verification.scorer import (
    Preprocessing,
    find_preprocessing,
    find_scorers,
    load_scorer,
)

CROPS = np.random.default_rng(0).integers(0, 255, (3, 112, 112, 3), dtype=np.uint8)


def test_embeddings_have_unit_length_and_the_network_its_name():
    scorer = load_scorer(fetch_recogniser())
    embeddings = scorer.embed(CROPS)
    assert embeddings.shape == (3, 512)
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(np.ones(3), abs=1e-6)
    assert (scorer.name, scorer.biased, scorer.threshold) == ("fr_feature", False, 0.35)


def test_the_input_is_as_the_network_wants_it():
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    path = fetch_recogniser()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    blob = (CROPS[:1, :, :, ::-1].astype(np.float32) - 127) / 128
    expected = session.run(None, {"input": blob.transpose(0, 3, 1, 2)})[0]
    expected /= np.linalg.norm(expected)
    assert load_scorer(path).embed(CROPS[:1]) == pytest.approx(expected, abs=1e-6)


def test_opencv_runs_it_without_onnxruntime(monkeypatch):
    with_onnxruntime = load_scorer(fetch_recogniser()).embed(CROPS)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert load_scorer(fetch_recogniser()).embed(CROPS) == pytest.approx(with_onnxruntime, abs=1e-5)


def test_no_crops_to_embed():
    assert len(load_scorer(fetch_recogniser()).embed(CROPS[:0])) == 0


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("w600k_r50.onnx", b"Conv_0 PRelu_1", Preprocessing("RGB", 127.5, 127.5, 0.35)),
        (
            "face_recognition_sface_2021dec.onnx",
            b"_minusscalar0 _mulscalar0",
            (*["RGB"], 0, 1, 0.363),
        ),
        ("glint.onnx", b"Sub_0 Mul_1", Preprocessing("RGB", 0.0, 1.0, 0.35)),
    ],
)
def test_preprocessing_follows_the_rule_of_insightface(tmp_path, name, head, expected):
    (tmp_path / name).write_bytes(b"\x08\x07" + head + b"\0" * 100)
    assert find_preprocessing(tmp_path / name) == expected


def test_a_file_beside_it_decides(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"Sub Mul")
    (tmp_path / "a.onnx.json").write_text('{"channels": "BGR", "mean": 127, "std": 128}')
    assert find_preprocessing(tmp_path / "a.onnx") == Preprocessing("BGR", 127, 128, 0.35)


@pytest.mark.parametrize(
    "text",
    [
        *["{", '{"colour": 1}', '{"channels": "XYZ"}', '{"mean": "1"}'],
        *['{"std": NaN}', '{"std": 1e999}', "[" * 100_000],
    ],
    ids=range(7),
)
def test_a_file_beside_it_that_makes_no_sense(tmp_path, text):
    (tmp_path / "a.onnx").write_bytes(b"")
    (tmp_path / "a.onnx.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.onnx\.json"):
        find_preprocessing(tmp_path / "a.onnx")


def test_detectors_are_not_offered(tmp_path):
    for name in ("w600k_r50.onnx", "det_10g.onnx", "genderage.onnx", "face_detection_yunet.onnx"):
        (tmp_path / name).touch()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "Glint.onnx").touch()
    found = find_scorers([tmp_path, tmp_path / "nowhere", tmp_path])
    assert [path.name for path in found] == ["Glint.onnx", "w600k_r50.onnx"]


@pytest.mark.parametrize("runtime", ["onnxruntime", "OpenCV"])
def test_what_is_no_network(tmp_path, monkeypatch, runtime):
    if runtime == "OpenCV":
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "a.onnx").write_bytes(b"not a network")
    with pytest.raises(ValueError, match=r"scorer: .*a\.onnx"):
        load_scorer(tmp_path / "a.onnx")
    with pytest.raises(ValueError, match="does not exist"):
        load_scorer(tmp_path / "b.onnx")


def test_a_detector_is_no_recogniser():
    from idpatch_core.face_detector import YUNET_FILE

    with pytest.raises(ValueError, match=r"scorer: face_detection_yunet_fp32\.onnx"):
        load_scorer(YUNET_FILE)


def test_crops_of_another_size_are_refused():
    with pytest.raises(ValueError, match="112"):
        load_scorer(fetch_recogniser()).embed(np.zeros((1, 96, 96, 3), np.uint8))


def test_the_file_beside_the_tests_recogniser_is_the_documented_one():
    beside = fetch_recogniser().with_name("fr_feature.onnx.json")
    assert json.loads(beside.read_text())["channels"] == "BGR"
