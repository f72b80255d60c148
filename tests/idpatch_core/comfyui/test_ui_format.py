from idpatch_core.comfyui.ui_format import to_ui

INFO = {
    "Load": {
        "input": {"required": {"file": [["a.png", "b.png"], {"image_upload": True}]}},
        "input_order": {"required": ["file"]},
        "output": ["IMAGE"],
        "output_name": ["IMAGE"],
    },
    "Mix": {
        "input": {
            "required": {"seed": ["INT", {"default": 0}], "image": ["IMAGE"]},
            "optional": {"text": ["STRING", {"default": "x"}], "size": ["INT", {"default": 8}]},
        },
        "input_order": {"required": ["seed", "image"], "optional": ["text", "size"]},
        "output": [],
        "output_name": [],
    },
    "Text": {"input": {}, "input_order": {}, "output": ["STRING"], "output_name": ["text"]},
}
GRAPH = {
    "3": {"class_type": "Load", "inputs": {"file": "b.png"}, "_meta": {"title": "Photo"}},
    "5": {"class_type": "Text", "inputs": {}},
    "7": {"class_type": "Mix", "inputs": {"seed": 4, "image": ["3", 0], "text": ["5", 0]}},
}


def node(graph: dict, id: int) -> dict:
    return next(node for node in graph["nodes"] if node["id"] == id)


def test_links_join_the_named_sockets():
    graph = to_ui(GRAPH, INFO)
    assert graph["links"] == [[1, 3, 0, 7, 0, "IMAGE"], [2, 5, 0, 7, 1, "STRING"]]
    assert node(graph, 3)["outputs"] == [{"name": "IMAGE", "type": "IMAGE", "links": [1]}]
    assert node(graph, 7)["inputs"] == [
        {"name": "image", "type": "IMAGE", "link": 1},
        {"name": "text", "type": "STRING", "link": 2, "widget": {"name": "text"}},
    ]


def test_widgets_are_in_the_front_ends_order_with_those_it_adds():
    graph = to_ui(GRAPH, INFO)
    assert node(graph, 3)["widgets_values"] == ["b.png", "image"]
    assert node(graph, 7)["widgets_values"] == [4, "fixed", "x", 8]


def test_nodes_of_a_subgraph_are_put_outside_with_new_numbers():
    inside = {"11:3": GRAPH["3"], "5": GRAPH["5"]}
    graph = to_ui({**inside, "7": GRAPH["7"] | {"inputs": {"image": ["11:3", 0]}}}, INFO)
    assert [one["id"] for one in graph["nodes"]] == [8, 5, 7]
    assert node(graph, 8)["title"] == "Photo"
    assert graph["links"] == [[1, 8, 0, 7, 0, "IMAGE"]]


def test_known_nodes_keep_their_look_and_notes_stay():
    original = {
        "nodes": [
            {"id": 3, "type": "Load", "pos": [9, 9], "size": [50, 60], "color": "#123"},
            {"id": 8, "type": "Note", "pos": [0, 0], "size": [10, 10], "widgets_values": ["Hi"]},
            {"id": 9, "type": "Load", "pos": [0, 0], "size": [10, 10]},
        ],
        "groups": [{"title": "Group"}],
    }
    graph = to_ui(GRAPH, INFO, original)
    assert node(graph, 3)["pos"] == [9, 9]
    assert node(graph, 3)["color"] == "#123"
    assert [one["id"] for one in graph["nodes"]] == [3, 5, 7, 8]
    assert graph["groups"] == original["groups"]
    assert graph["last_node_id"] == 8


def test_new_nodes_stand_below_the_known_ones_from_left_to_right():
    original = {"nodes": [{"id": 3, "type": "Load", "pos": [0, 100], "size": [50, 60]}]}
    graph = to_ui(GRAPH, INFO, original)
    assert node(graph, 5)["pos"][1] > 160
    assert node(graph, 7)["pos"][0] > node(graph, 5)["pos"][0]


def test_our_nodes_name_their_pack():
    graph = {"1": {"class_type": "IDPatchPlacer", "inputs": {}}}
    made = to_ui(graph, {"IDPatchPlacer": INFO["Text"]})
    assert made["nodes"][0]["properties"] == {
        "cnr_id": "comfyui-id-patch",
        "Node name for S&R": "IDPatchPlacer",
    }
