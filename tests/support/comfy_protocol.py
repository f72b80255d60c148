"""A small server with ComfyUI's routes, for tests that end clients and servers many times.

    python comfy_protocol.py PORT SECONDS LOG

It "runs" a prompt for SECONDS by answering with a PNG that depends on the graph alone, and appends
a JSON line to LOG when a prompt starts and when it ends. What the nodes do is not imitated: what
depends on that is tested with a real ComfyUI. A prompt with the text "fault" fails at its node.
"""

import asyncio
import contextlib
import hashlib
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web
from PIL import Image


def image_of(graph: dict[str, Any]) -> bytes:
    """Return the PNG that this server makes of a graph."""
    digest = hashlib.sha256(json.dumps(graph, sort_keys=True).encode()).digest()
    pixels = np.frombuffer(digest * 2048, np.uint8).reshape(128, 128, 4)
    png = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(png, "PNG")
    return png.getvalue()


def images_of(node: dict[str, Any]) -> list[str]:
    """Return the names of the input images that a node reads."""
    inputs = node["inputs"]
    if node["class_type"] == "LoadImage":
        return [inputs["image"]]
    if node["class_type"] == "IDPatchPeople":
        return [name for person in json.loads(inputs["people"]) for name in person["photos"]]
    return []


class Server:
    def __init__(self, seconds: float, log: Path):
        self.seconds, self.log = seconds, log
        self.inputs: dict[str, bytes] = {}
        self.outputs: dict[str, bytes] = {}
        self.pending: list[list[Any]] = []
        self.running: list[list[Any]] = []
        self.history: dict[str, Any] = {}
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.wake = asyncio.Event()

    def note(self, event: str, prompt_id: str) -> None:
        with self.log.open("a") as file:
            file.write(json.dumps({"event": event, "id": prompt_id, "at": time.time()}) + "\n")

    async def upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        name, content = form["image"].filename, form["image"].file.read()
        self.inputs.setdefault(name, content)
        return web.json_response({"name": name, "subfolder": "", "type": "input"})

    async def prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        graph, id = body["prompt"], body["prompt_id"]
        for node_id, node in graph.items():
            missing = [name for name in images_of(node) if name not in self.inputs]
            if missing:
                errors = [{"message": "Invalid image file", "details": missing[0]}]
                answer = {"error": {"message": "invalid"}, "node_errors": {}}
                answer["node_errors"][node_id] = {"errors": errors}
                return web.json_response(answer, status=400)
        self.pending.append([0, id, graph, {"client_id": body["client_id"]}])
        self.wake.set()
        return web.json_response({"prompt_id": id, "node_errors": {}})

    async def send(self, client: str, kind: str, **data: Any) -> None:
        socket = self.sockets.get(client)
        if socket is not None and not socket.closed:
            with contextlib.suppress(ConnectionError):
                await socket.send_json({"type": kind, "data": data})

    async def run(self) -> None:
        while True:
            while not self.pending:
                self.wake.clear()
                await self.wake.wait()
            item = self.pending.pop(0)
            self.running = [item]
            _, id, graph, extra = item
            client, start = extra["client_id"], time.time()
            self.note("start", id)
            (saver,) = [key for key, node in graph.items() if node["class_type"] == "SaveImage"]
            await self.send(client, "executing", prompt_id=id, node=saver)
            await asyncio.sleep(self.seconds)
            failed = any(node["inputs"].get("text") == "fault" for node in graph.values())
            messages: list[Any] = [["execution_start", {"timestamp": start * 1000}]]
            outputs: dict[str, Any] = {}
            if failed:
                error = {"prompt_id": id, "node_id": saver, "node_type": "SaveImage"}
                error |= {"exception_message": "fault", "exception_type": "ValueError"}
                error |= {"traceback": []}
                messages.append(["execution_error", error])
            else:
                self.outputs[f"{id}.png"] = image_of(graph)
                file = {"filename": f"{id}.png", "subfolder": "", "type": "output"}
                outputs = {saver: {"images": [file]}}
                messages.append(["execution_success", {"timestamp": time.time() * 1000}])
            self.history[id] = {"outputs": outputs, "status": {"messages": messages}}
            self.running = []
            self.note("end", id)
            if failed:
                await self.send(client, "execution_error", **messages[-1][1])
            await self.send(client, "executing", prompt_id=id, node=None)

    async def queue(self, request: web.Request) -> web.Response:
        queues = {"queue_running": self.running, "queue_pending": self.pending}
        return web.json_response(queues)

    async def get_history(self, request: web.Request) -> web.Response:
        id = request.match_info["id"]
        return web.json_response({id: self.history[id]} if id in self.history else {})

    async def forget(self, request: web.Request) -> web.Response:
        for id in (await request.json())["delete"]:
            self.history.pop(id, None)
        return web.Response()

    async def view(self, request: web.Request) -> web.Response:
        return web.Response(body=self.outputs[request.query["filename"]])

    async def stats(self, request: web.Request) -> web.Response:
        return web.json_response({"uploads": len(self.inputs)})

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets[request.query["clientId"]] = socket
        async for message in socket:
            if message.type == WSMsgType.ERROR:
                break
        self.sockets.pop(request.query["clientId"], None)
        return socket


async def serve(port: int, seconds: float, log: Path) -> None:
    server = Server(seconds, log)
    app = web.Application()
    app.add_routes(
        [
            web.post("/upload/image", server.upload),
            web.post("/prompt", server.prompt),
            web.get("/queue", server.queue),
            web.get("/history/{id}", server.get_history),
            web.post("/history", server.forget),
            web.get("/view", server.view),
            web.get("/system_stats", server.stats),
            web.get("/ws", server.websocket),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    await server.run()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])))
