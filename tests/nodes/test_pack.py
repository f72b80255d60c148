def test_every_node_has_a_schema_that_comfyui_accepts(comfy):
    for node in comfy.nodes.NODES:
        node.GET_SCHEMA()
