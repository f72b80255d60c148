"""A node's schema with the fields that newer versions of ComfyUI added."""

from dataclasses import dataclass, field

from comfy_api.v0_0_2 import io


@dataclass
class Schema(io.Schema):
    """ComfyUI's schema; an older ComfyUI, which lacks these fields, ignores them.

    `search_aliases` are other words that find the node. With `has_intermediate_output`, what the
    node shows is sent again after the page was reloaded, although it is no output node. The inputs
    in `advanced` are folded away until they are asked for.
    """

    search_aliases: list[str] = field(default_factory=list)
    has_intermediate_output: bool = False
    advanced: tuple[str, ...] = ()

    def __post_init__(self):
        found = {socket.id: socket for socket in self.inputs or []}
        if unknown := set(self.advanced) - set(found):
            raise ValueError(f"{self.node_id} has no input {', '.join(sorted(unknown))}.")
        for socket in (found[name] for name in self.advanced):
            if hasattr(socket, "advanced"):
                setattr(socket, "advanced", True)  # noqa: B010 unknown to the oldest core
