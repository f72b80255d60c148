"""ID-Patch on plain tensors: faces, identities, projections, places, canvas, injection.

Nothing here imports ComfyUI; the nodes are thin classes over these modules.
"""
