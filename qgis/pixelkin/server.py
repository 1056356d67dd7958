"""`pixelkin serve` on loopback, and what the panel asks of it over HTTP."""

import json
import os
import secrets
import struct
import subprocess
import threading
import urllib.error
import urllib.request
import uuid

from . import program

TILE = 256
_HEADER = struct.Struct("<IIf")


class ServerError(Exception):
    """The server refused a request or is gone; the message is for the user."""


class Server:
    """One process that serves one project; ends with `close`."""

    def __init__(self, image, project=None, *, train=True):
        """Start it and wait until it answers.

        Args:
            image: The raster to label.
            project: Folder of its project; by default beside the raster.
            train: Train an encoder in the background.

        Raises:
            program.ProgramError: There is no program, or it ends at once.
        """
        arguments = ["serve", image, "--no-open", "--host", "127.0.0.1", "--port", "0"]
        arguments += ["--project", project] if project else []
        arguments += [] if train else ["--no-train"]
        self._token = secrets.token_urlsafe(24)
        self._process = subprocess.Popen(
            [*program.find(), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            encoding="utf-8", errors="replace", env={**program.environment(), "PIXELKIN_TOKEN": self._token},
            **({"creationflags": subprocess.CREATE_NO_WINDOW} if os.name == "nt" else {}),
        )  # fmt: skip
        self._said = []
        threading.Thread(target=self._listen, daemon=True).start()
        self.url = None
        for line in self._process.stdout:
            if "http://" in line:
                self.url = line[line.index("http://") :].split()[0].split("?")[0].rstrip("/")
                break
        if self.url is None:
            self._process.wait()
            raise program.ProgramError(
                self._said[-1] if self._said else "pixelkin serve ended without a word. Run `pixelkin doctor` in a console."
            )
        threading.Thread(target=self._process.stdout.read, daemon=True).start()
        # Never through a proxy: it is this machine.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def _listen(self):
        for line in self._process.stderr:
            self._said = [*self._said[-40:], line.rstrip()]

    @property
    def is_running(self):
        """Whether the process is there."""
        return self._process.poll() is None

    def close(self):
        """End the process; what was marked is on the disk."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def get(self, path):
        """The JSON that a path answers with."""
        return json.loads(self._ask(path))

    def post(self, path, body):
        """The JSON that a request answers with; each has a key, so that none is done twice."""
        return json.loads(self._ask(path, {"key": uuid.uuid4().hex, **body}))

    def _ask(self, path, body=None):
        headers = {"Authorization": f"Bearer {self._token}"}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        try:
            with self._opener.open(request, timeout=120) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            try:
                message = json.loads(error.read())["error"]["message"]
            except (ValueError, KeyError):
                message = str(error)
            raise ServerError(message) from error
        except OSError as error:
            said = f" It said: {self._said[-1]}" if self._said else ""
            gone = "pixelkin has ended" if not self.is_running else f"pixelkin does not answer ({error})"
            raise ServerError(f"{gone}: open the raster again in the panel, nothing that was marked is lost.{said}") from error

    def tiles(self, scene, layer, revision, level, tiles):
        """Bytes of tiles of the map, (x, y) -> 256 x 256 bytes row by row: class ids, or confidence 1..255.

        A revision that is superseded while it is asked for gives what there is.
        """
        at = ";".join(f"{x},{y}" for x, y in tiles)
        data = self._ask(f"/api/scenes/{scene}/tiles/{layer}/{revision}/{level}?at={at}")
        size = _HEADER.size + TILE * TILE
        found = {}
        for start in range(0, len(data) - size + 1, size):
            x, y, _ = _HEADER.unpack_from(data, start)
            found[x, y] = data[start + _HEADER.size : start + size]
        return found
