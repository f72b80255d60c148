"""The client against a live ComfyUI: uploads, and prompts that vanish."""

import io
import random
import time
from urllib.parse import urlencode

import numpy as np
import pytest
from live_workflow import png_bytes
from PIL import Image

from idpatch_core.comfyui import client as client_module
from idpatch_core.comfyui.client import ComfyClient, File
from idpatch_core.comfyui.errors import Interrupted, PromptLost, RequestRefused, Unreachable

LONG, SHORT = 400, 1  # blurs


def blur_graph(blurs: int, shade: float) -> dict:
    """Return a graph of nodes that each take a moment, and a small image at its end."""
    shade = int(shade * 0xFFFFFF)
    image = {"width": 512, "height": 512, "batch_size": 1, "color": shade}
    graph = {"0": {"class_type": "EmptyImage", "inputs": image}}
    for number in range(1, blurs + 1):
        inputs = {"image": [str(number - 1), 0], "blur_radius": 31, "sigma": 10.0}
        graph[str(number)] = {"class_type": "ImageBlur", "inputs": inputs}
    graph["save"] = {"class_type": "PreviewImage", "inputs": {"images": [str(blurs), 0]}}
    return graph


@pytest.fixture
def client(comfy_server):
    with ComfyClient(comfy_server.url) as client:
        yield client


@pytest.fixture
def shade():
    return random.random()  # so that nothing is cached


def image_of(shade):
    return png_bytes(np.full((8, 8, 3), int(shade * 255), np.uint8))


def test_two_photos_of_one_name_stay_apart(client, tmp_path, shade):
    paths = [tmp_path / folder / "portrait.png" for folder in "ab"]
    for number, path in enumerate(paths):
        path.parent.mkdir()
        path.write_bytes(png_bytes(np.full((8, 8, 3), 10 * number, np.uint8)))
    names = [client.upload_image(path) for path in paths]
    assert len(set(names)) == 2
    for path, name in zip(paths, names, strict=True):
        assert client.fetch(File(name, type="input")) == path.read_bytes()
    graph = {"1": {"class_type": "LoadImage", "inputs": {"image": names[1]}}}
    graph["2"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    (file,) = client.run(graph).images("temp")
    assert np.asarray(Image.open(io.BytesIO(client.fetch(file))))[0, 0].tolist() == [10] * 3


@pytest.mark.parametrize(
    "name", ["安娜的照片.png", "Zoë & (Ben) [1].png", "x" * 300 + ".png", 'a"b;c\\d%41.png']
)
def test_any_name_arrives_and_can_be_loaded(client, comfy_server, name, shade):
    uploaded = client.upload_image(image_of(shade), name)
    assert (comfy_server.base / "input" / uploaded).read_bytes() == image_of(shade)
    assert uploaded.endswith(".png") and "%" not in uploaded
    graph = {"1": {"class_type": "LoadImage", "inputs": {"image": uploaded}}}
    graph["2"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    assert len(client.run(graph).images("temp")) == 1


def test_a_file_is_uploaded_once_and_never_written_again(client, comfy_server, shade):
    image = image_of(shade)
    name = client.upload_image(image, "one.png")
    file = comfy_server.base / "input" / name
    file.unlink()
    assert client.upload_image(image, "other.png") == name
    assert not file.exists(), "it was sent a second time"
    with ComfyClient(comfy_server.url) as other:
        assert other.upload_image(image, "one.png") == name
        written = file.stat()
    with ComfyClient(comfy_server.url) as third:
        assert third.upload_image(image, "one.png") == name
    assert file.stat().st_mtime_ns == written.st_mtime_ns, "a server's whole file was rewritten"


def test_a_deleted_prompt_ends_the_wait(client, shade, monkeypatch):
    monkeypatch.setattr(client_module, "PATIENCE", 0.5)
    first = client.queue(blur_graph(LONG, shade))
    graph = blur_graph(SHORT, shade)
    second = client.queue(graph)
    client._connection.request("POST", "/queue", json={"delete": [second]})
    with pytest.raises(Interrupted, match="deleted from the queue"):
        list(client.events(second, graph))  # while the first sends its progress
    assert client.state(first) == "queued", "the wait did not end while another prompt ran"
    client.cancel(first)


def test_what_happened_to_a_prompt_while_another_was_waited_for_is_known(client, shade):
    graphs = [blur_graph(count, shade) for count in (SHORT, 3)]
    ids = [client.queue(graph) for graph in graphs]
    second = list(client.events(ids[1], graphs[1]))
    start = time.monotonic()
    first = list(client.events(ids[0], graphs[0]))
    assert time.monotonic() - start < client_module.PATIENCE / 2
    for id, graph, events in zip(ids, graphs, (first, second), strict=True):
        assert {event.node for event in events} <= set(graph)
        assert [event.node for event in events if event.kind == "executed"] == ["save"]
        assert len(client.result(id, graph).images("temp")) == 1


def test_a_failure_is_known_later_too(client, shade):
    graph = blur_graph(SHORT, shade)
    first = client.queue(blur_graph(LONG, shade + 1e-3))
    second = client.queue(graph)
    client.cancel(first)
    list(client.events(second, graph))
    with pytest.raises(Interrupted, match="cancelled"):
        list(client.events(first, graph))


def test_a_connection_that_a_proxy_closed_is_opened_again(client, shade, monkeypatch):
    monkeypatch.setattr(client_module, "RECONNECT_SECONDS", 0.1)
    graph = blur_graph(10, shade)
    id = client.queue(graph)
    connection = client._connection
    connection._wait_for(connection._socket.close())
    list(client.events(id, graph))
    assert len(client.result(id, graph).images("temp")) == 1


def test_a_prompt_that_no_one_knows_is_lost(client):
    with pytest.raises(PromptLost, match="no longer has its record"):
        client.result("00000000-0000-0000-0000-000000000000", {})


def test_a_refused_request_tells_its_status(client):
    with pytest.raises(RequestRefused, match=r"GET .*: 404") as refused:
        client._connection.request("GET", "/view?" + urlencode({"filename": "gone.png"}))
    assert refused.value.status == 404


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://256.1.1.1", "nonsense"])
def test_a_server_that_is_not_there_is_unreachable(url):
    with ComfyClient(url) as client, pytest.raises(Unreachable, match="does not answer"):
        client.system_stats()
